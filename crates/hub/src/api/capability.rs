//! Renewal of tokens, and addresses of media (Hub contract, section 9).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::reply::{ReplyError, read};
use crate::{
    repo_path::RepoPath,
    secret::{BearerToken, SignedUrl},
};

/// Body of a renewal. The worker's own token goes in the header.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RenewRequest {
    /// For which request.
    pub request_id: String,
    /// In which attempt.
    pub attempt: u32,
    /// The token that is to be replaced.
    pub capability_token: BearerToken,
}

/// Reply to a renewal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RenewReply {
    /// The new token, with the same grants.
    pub capability_token: BearerToken,
    /// When it ends, in seconds since 1970.
    pub expires_at_unix: u64,
}

/// Body of a request for addresses.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MediaUrlsRequest {
    /// Of which media.
    pub refs: Vec<RepoPath>,
}

/// Addresses of media.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MediaUrls {
    /// By ref.
    pub urls: BTreeMap<String, MediaUrl>,
    /// Refs that are not there.
    #[serde(default)]
    pub missing: Vec<String>,
}

/// Where one medium can be read for a while.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MediaUrl {
    /// Where.
    pub url: SignedUrl,
    /// Until when, in the words of the server.
    pub expires_at: String,
}

impl RenewReply {
    /// Reads the reply to a renewal.
    ///
    /// # Errors
    /// [`ReplyError::Form`].
    pub fn from_reply(body: &[u8]) -> Result<Self, ReplyError> {
        read(body)
    }
}

impl MediaUrls {
    /// Reads the reply to a request for addresses.
    ///
    /// # Errors
    /// [`ReplyError::Form`].
    pub fn from_reply(body: &[u8]) -> Result<Self, ReplyError> {
        read(body)
    }
}

#[cfg(test)]
mod tests;
