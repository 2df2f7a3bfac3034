//! Attributes of a repository (Hub contract, section 7).

use serde::Serialize;
use serde_json::{Map, Value};

use super::reply::{ReplyError, read_object};

/// Attributes, and whether the repository is there at all.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct RepoMetadata {
    /// By name.
    pub metadata: Map<String, Value>,
    /// False for a repository that is not there.
    pub exists: bool,
}

impl RepoMetadata {
    /// Reads the reply to a get. Anything but an object stands for no attributes.
    ///
    /// # Errors
    /// [`ReplyError`] when the reply is no object.
    pub fn from_reply(body: &[u8]) -> Result<Self, ReplyError> {
        let mut object = read_object(body)?;
        let exists = object.get("exists").and_then(Value::as_bool).unwrap_or(true);
        let metadata = match object.remove("metadata") {
            Some(Value::Object(metadata)) => metadata,
            _ => Map::new(),
        };
        Ok(Self { metadata, exists })
    }

    /// Reads the reply to a put of `sent`: a reply without attributes means that they are as sent.
    ///
    /// # Errors
    /// As [`RepoMetadata::from_reply`].
    pub fn from_put_reply(body: &[u8], sent: &Map<String, Value>) -> Result<Self, ReplyError> {
        let mut object = read_object(body)?;
        let metadata = match object.remove("metadata") {
            Some(Value::Object(metadata)) => metadata,
            _ => sent.clone(),
        };
        Ok(Self { metadata, exists: true })
    }
}

#[cfg(test)]
mod tests;
