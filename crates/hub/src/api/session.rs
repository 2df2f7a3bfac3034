//! Sessions that several saves of one job share (Hub contract, section 5).

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::reply::{ReplyError, read_object, text};
use crate::names::ServerId;

/// What a repository is. Blank fields are not sent.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct RepoFields {
    /// Model, adapter, dataset.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub kind: String,
    /// What loads it, such as `diffusers`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub library_name: String,
    /// Family of models.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub model_family: String,
    /// Class that loads it.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub class_name: String,
    /// Family that it adapts.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub adapter_for_family: String,
}

/// Body of an open.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionOpen {
    /// For which job.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job_id: Option<String>,
    /// What the repository is.
    #[serde(flatten)]
    pub repo: RepoFields,
}

/// An open session.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SessionOpened {
    /// Its id.
    pub session_id: ServerId,
    /// When the server drops it, in whatever form it says so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Value>,
}

impl SessionOpened {
    /// Reads the reply to an open.
    ///
    /// # Errors
    /// [`ReplyError`] when it names no session.
    pub fn from_reply(body: &[u8]) -> Result<Self, ReplyError> {
        let object = read_object(body)?;
        let id = text(&object, &["session_id"]).ok_or(ReplyError::Missing("session_id"))?;
        let session_id = id.parse().map_err(|_| ReplyError::Invalid("session_id"))?;
        Ok(Self { session_id, expires_at: object.get("expires_at").filter(|value| !value.is_null()).cloned() })
    }
}
