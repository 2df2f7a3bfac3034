//! Attributes of repositories, and blobs (Hub contract, section 7).

use std::time::Duration;

use bytes::Bytes;
use http::{Method, StatusCode};
use serde_json::{Map, Value};

use super::{
    error::HubError,
    exchange::{Call, transport},
    hub_client::HubClient,
    url::part,
};
use crate::{
    api::RepoMetadata,
    digest::{Digest, DigestHasher},
    model_ref::RepoName,
};

const BLOB: &str = "read of a blob";

/// The bytes of one blob, verified while they come.
#[derive(Debug)]
pub struct BlobReader {
    response: reqwest::Response,
    digest: Digest,
    hasher: DigestHasher,
    read_bytes: u64,
    bytes_max: u64,
    stall: Duration,
}

impl HubClient {
    /// The attributes of `repo`; of one that is not there, none. Nothing is asked without a token: then there is no answer.
    ///
    /// # Errors
    /// See [`HubError`].
    ///
    /// # Cancel safety
    /// May be dropped.
    pub async fn metadata(&self, repo: &RepoName) -> Result<Option<RepoMetadata>, HubError> {
        const OPERATION: &str = "read of metadata";
        if self.token().is_none() {
            return Ok(None);
        }
        let call = Call::new(OPERATION, Method::GET, metadata(OPERATION, repo)?, self.timing().metadata);
        let call = call.owner(Some(repo.owner()));
        let reply = self.exchange(&call).await?;
        if reply.status == StatusCode::NOT_FOUND {
            return Ok(Some(RepoMetadata::default()));
        }
        if !reply.status.is_success() {
            return Err(call.refused(&reply));
        }
        call.read(&reply, RepoMetadata::from_reply).map(Some)
    }

    /// Replaces all attributes of `repo`. Nothing is sent without a token: then there is no answer.
    ///
    /// # Errors
    /// See [`HubError`].
    ///
    /// # Cancel safety
    /// May be dropped; the attributes may be replaced all the same.
    pub async fn put_metadata(
        &self,
        repo: &RepoName,
        attributes: &Map<String, Value>,
    ) -> Result<Option<RepoMetadata>, HubError> {
        const OPERATION: &str = "write of metadata";
        if self.token().is_none() {
            return Ok(None);
        }
        let call = Call::new(OPERATION, Method::PUT, metadata(OPERATION, repo)?, self.timing().metadata);
        let call = call.owner(Some(repo.owner())).json(&serde_json::json!({"metadata": attributes}))?;
        let reply = self.exchange_good(&call).await?;
        call.read(&reply, |body| RepoMetadata::from_put_reply(body, attributes)).map(Some)
    }

    /// Opens the blob called `digest`, of at most `bytes_max` bytes.
    ///
    /// # Errors
    /// [`HubError::NotFound`], [`HubError::Auth`], [`HubError::TooLarge`] when the server announces more.
    ///
    /// # Cancel safety
    /// May be dropped.
    pub async fn blob(&self, digest: &Digest, bytes_max: u64) -> Result<BlobReader, HubError> {
        let stall = self.timing().blob;
        let call = Call::new(BLOB, Method::GET, format!("/api/v1/blobs/{digest}/content"), stall);
        let sent = tokio::time::timeout(stall, self.send(&call)).await;
        let response = sent.map_err(|_| HubError::Timeout { operation: BLOB, after: stall })??;
        if response.status() != StatusCode::OK {
            // Its body says why; asking for it again would not.
            return Err(call.refused(&self.rest_of(&call, response).await?));
        }
        if response.content_length().is_some_and(|length| length > bytes_max) {
            return Err(HubError::TooLarge { operation: BLOB, limit_bytes: bytes_max });
        }
        Ok(BlobReader {
            response,
            digest: *digest,
            hasher: DigestHasher::new(digest.algorithm()),
            read_bytes: 0,
            bytes_max,
            stall,
        })
    }
}

impl BlobReader {
    /// The next bytes, or none after the last. Bytes may be used only once the end was reached without an error: before, nobody
    /// knows whether they are the right ones.
    ///
    /// # Errors
    /// [`HubError::DigestMismatch`] at the end; [`HubError::TooLarge`]; [`HubError::Timeout`] when nothing comes;
    /// [`HubError::Transport`] when the connection breaks.
    ///
    /// # Cancel safety
    /// May be dropped; no bytes are lost.
    pub async fn next(&mut self) -> Result<Option<Bytes>, HubError> {
        let piece = tokio::time::timeout(self.stall, self.response.chunk()).await;
        let piece = piece.map_err(|_| HubError::Timeout { operation: BLOB, after: self.stall })?;
        let Some(piece) = piece.map_err(|error| transport(BLOB, error))? else {
            return if self.hasher.digest() == self.digest {
                Ok(None)
            } else {
                Err(HubError::DigestMismatch(self.digest))
            };
        };
        self.read_bytes = self.read_bytes.saturating_add(piece.len() as u64);
        if self.read_bytes > self.bytes_max {
            return Err(HubError::TooLarge { operation: BLOB, limit_bytes: self.bytes_max });
        }
        self.hasher.update(&piece);
        Ok(Some(piece))
    }
}

fn metadata(operation: &'static str, repo: &RepoName) -> Result<String, HubError> {
    let (owner, repo) = (part(operation, repo.owner())?, part(operation, repo.repo())?);
    Ok(format!("/api/v1/repos/{owner}/{repo}/metadata"))
}
