//! Uploads of files, to media and to revisions (Hub contract, section 4). The bytes themselves are sent by the store.

use http::{Method, StatusCode};
use tokio::time::Instant;

use super::{
    error::HubError,
    exchange::{Call, EXCERPT_UPLOAD_CHARS, Reply},
    hub_client::HubClient,
    retry::random_unit,
    url::part,
};
use crate::{
    api::{CompleteRequest, ErrorBody, LocalFile, UploadCreate, UploadStart, UploadedFile},
    model_ref::RepoName,
    names::ServerId,
};

/// The server is still at a complete; any other conflict is final.
const IN_PROGRESS: &str = "upload_complete_in_progress";

/// Where a file goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UploadTarget {
    /// To the media of a tenant.
    Media {
        /// The tenant.
        owner: String,
    },
    /// To a revision of a repository.
    Revision {
        /// The repository.
        repo: RepoName,
        /// The session.
        session: ServerId,
    },
}

impl UploadTarget {
    fn uploads(&self, operation: &'static str) -> Result<String, HubError> {
        Ok(match self {
            Self::Media { owner } => format!("/api/v1/media/{}/uploads", part(operation, owner)?),
            Self::Revision { repo, session } => {
                let (owner, repo) = (part(operation, repo.owner())?, part(operation, repo.repo())?);
                format!("/api/v1/repos/{owner}/{repo}/revisions/{session}/uploads")
            }
        })
    }
}

impl HubClient {
    /// Announces a file. One attempt.
    ///
    /// # Errors
    /// [`HubError::Refused`] for an empty file, before anything is sent; [`HubError::Auth`]; [`HubError::NotFound`] where the
    /// server has no uploads. Their [`HubError::class`] tells what may be repeated.
    ///
    /// # Cancel safety
    /// May be dropped; the server drops uploads that are not completed.
    pub async fn create_upload(
        &self,
        target: &UploadTarget,
        create: &UploadCreate,
        local: &LocalFile,
    ) -> Result<UploadStart, HubError> {
        const OPERATION: &str = "create of an upload";
        if create.size_bytes == 0 {
            return Err(HubError::Refused { operation: OPERATION, why: "the file is empty" });
        }
        if create.size_bytes != local.size_bytes || create.blake3 != local.blake3 {
            return Err(HubError::Refused { operation: OPERATION, why: "it announces another file" });
        }
        let call = Call::new(OPERATION, Method::POST, target.uploads(OPERATION)?, self.timing().create);
        let call = call.owner(self.owner()).excerpt(EXCERPT_UPLOAD_CHARS).json(create)?;
        let reply = self.exchange_good(&call).await?;
        let grant_only = matches!(target, UploadTarget::Revision { .. });
        call.read(&reply, |body| UploadStart::from_reply(body, local, grant_only))
    }

    /// Says that all bytes of an upload are there, and waits until the server has verified them. Repeated as section 15 says:
    /// a complete that succeeded gives the same answer again.
    ///
    /// # Errors
    /// [`HubError::Unfinished`] when the server is still at it in the end; others as their class says.
    ///
    /// # Cancel safety
    /// May be dropped; the server may still complete the upload.
    pub async fn complete_upload(
        &self,
        target: &UploadTarget,
        upload: &ServerId,
        request: &CompleteRequest,
        local: &LocalFile,
    ) -> Result<UploadedFile, HubError> {
        const OPERATION: &str = "complete of an upload";
        let path = format!("{}/{upload}/complete", target.uploads(OPERATION)?);
        let call = Call::new(OPERATION, Method::POST, path, self.timing().complete);
        let call = call.owner(self.owner()).excerpt(EXCERPT_UPLOAD_CHARS).json(request)?;
        let mut reply = self.complete_once(&call).await?;
        if is_in_progress(&reply) {
            reply = self.await_complete(&call).await?;
        }
        if !reply.status.is_success() {
            return Err(call.refused(&reply));
        }
        call.read(&reply, |body| UploadedFile::from_reply(body, local))
    }

    /// Gives an upload up. Best effort: what the server says does not matter, it drops such uploads by itself.
    ///
    /// # Cancel safety
    /// May be dropped.
    pub async fn abort_upload(&self, target: &UploadTarget, upload: &ServerId) {
        const OPERATION: &str = "abort of an upload";
        if let Ok(uploads) = target.uploads(OPERATION) {
            let call = Call::new(OPERATION, Method::DELETE, format!("{uploads}/{upload}"), self.timing().abort);
            let _ = self.exchange(&call.owner(self.owner())).await;
        }
    }

    /// The first answer that is no lost connection and no 5xx, or the last failure.
    async fn complete_once(&self, call: &Call<'_>) -> Result<Reply, HubError> {
        let mut failures = 0;
        loop {
            let result = self.exchange(call).await;
            match &result {
                Ok(reply) if reply.status.is_server_error() => {}
                Err(error) if error.is_network() => {}
                _ => return result,
            }
            failures += 1;
            let Some(wait) = self.timing().complete_retry.wait(failures, None, random_unit()) else { return result };
            tokio::time::sleep(wait).await;
        }
    }

    /// The answer once the server is no longer at it. Lost connections do not matter meanwhile.
    async fn await_complete(&self, call: &Call<'_>) -> Result<Reply, HubError> {
        let (policy, since) = (&self.timing().complete_poll, Instant::now());
        let mut polls = 0;
        while let Some(wait) = policy.wait(polls, since.elapsed()) {
            tokio::time::sleep(wait).await;
            polls += 1;
            match self.exchange(call).await {
                Ok(reply) if is_in_progress(&reply) => {}
                Err(error) if error.is_network() => {}
                result => return result,
            }
        }
        Err(HubError::Unfinished { operation: call.operation, after: policy.limit })
    }
}

/// Whether the server says that it is still verifying.
pub(super) fn is_in_progress(reply: &Reply) -> bool {
    reply.status == StatusCode::CONFLICT && ErrorBody::code_of(&reply.body).as_deref() == Some(IN_PROGRESS)
}
