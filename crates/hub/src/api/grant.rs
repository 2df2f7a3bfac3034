//! Credentials for one object of an S3-compatible store (Hub contract, 4d).

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, de::Error as _};
use serde_json::{Map, Value};

use super::reply::{ReplyError, text};
use crate::secret::SignedUrl;

/// Region of a grant that names none.
const REGION_DEFAULT: &str = "auto";

/// May write or read one key of one bucket for a while. `Debug` shows neither credential.
#[derive(Clone, PartialEq, Eq, Serialize)]
pub struct TransferGrant {
    /// Where the store is; may have a path.
    pub endpoint_url: SignedUrl,
    /// The bucket.
    pub bucket: String,
    /// The object.
    pub key: String,
    /// Who signs.
    pub access_key_id: String,
    /// What is signed with.
    pub secret_access_key: String,
    /// Goes with temporary credentials.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session_token: Option<String>,
    /// What signatures name.
    pub region: String,
    /// When it ends, in the words of the server.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<String>,
}

impl TransferGrant {
    /// Reads a grant in snake or camel case; of two names of one field, the first that is not blank counts.
    ///
    /// # Errors
    /// [`ReplyError::Missing`] for a field without which nothing can be signed, [`ReplyError::Invalid`] for an address that is
    /// none.
    pub fn from_object(object: &Map<String, Value>) -> Result<Self, ReplyError> {
        let own = |names: &[&str]| text(object, names).map(str::to_owned);
        let needed = |field: &'static str, names: &[&str]| own(names).ok_or(ReplyError::Missing(field));
        // They go into headers, where nothing else has a place.
        let signing = |field: &'static str, text: String| match text.bytes().all(|byte| byte.is_ascii_graphic()) {
            true => Ok(text),
            false => Err(ReplyError::Invalid(field)),
        };
        let endpoint = needed("endpoint_url", &["endpoint_url", "endpointUrl"])?;
        Ok(Self {
            endpoint_url: endpoint.parse().map_err(|_| ReplyError::Invalid("endpoint_url"))?,
            bucket: needed("bucket", &["bucket", "bucket_name", "bucketName"])?,
            key: needed("key", &["key", "object_key", "objectKey"])?,
            access_key_id: signing("access_key_id", needed("access_key_id", &["access_key_id", "accessKeyId"])?)?,
            secret_access_key: needed("secret_access_key", &["secret_access_key", "secretAccessKey"])?,
            session_token: own(&["session_token", "sessionToken"])
                .map(|token| signing("session_token", token))
                .transpose()?,
            region: signing("region", own(&["region"]).unwrap_or_else(|| REGION_DEFAULT.to_owned()))?,
            expires_at: own(&["expires_at", "expiresAt"]),
        })
    }

    /// The grant in `object`, under the first of `names` that is an object.
    pub(crate) fn within(object: &Map<String, Value>, names: &[&str]) -> Result<Option<Self>, ReplyError> {
        names.iter().find_map(|name| object.get(*name)?.as_object()).map(Self::from_object).transpose()
    }
}

impl<'de> Deserialize<'de> for TransferGrant {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::from_object(&Map::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}

impl fmt::Debug for TransferGrant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TransferGrant")
            .field("endpoint_url", &self.endpoint_url)
            .field("bucket", &self.bucket)
            .field("key", &self.key)
            .field("region", &self.region)
            .field("expires_at", &self.expires_at)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
