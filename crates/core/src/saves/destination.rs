//! Where a client wants an output, in storage of its own: `output_upload` in payloads of the oldest form (Hub contract, 11.6).
//! Values only.

use std::{collections::BTreeMap, fmt};

use gen_worker_hub::api::TransferGrant;
use gen_worker_store::Destination;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::worker_error::{Result, WorkerError};

/// Where a client wants an output. A field of a payload, usually `output_upload`, for
/// [`RequestContext::save_bytes_to`](crate::RequestContext::save_bytes_to). `Debug` shows none of it: it is full of permissions.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum OutputDestination {
    /// Behind an address that takes it.
    Put {
        /// The address. A secret.
        put_url: String,
        /// Headers that it wants. Secrets.
        #[serde(default)]
        headers: BTreeMap<String, String>,
        /// Where others will find the output.
        public_url: String,
    },
    /// In a bucket.
    Bucket {
        /// Which object, and who may write it.
        s3: BucketDestination,
    },
}

/// An object of a bucket, and who may write it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct BucketDestination {
    /// The bucket.
    pub bucket: String,
    /// The object.
    pub key: String,
    /// Region of the bucket.
    pub region: String,
    /// Who signs.
    pub access_key_id: String,
    /// What is signed with. A secret.
    pub secret_access_key: String,
    /// Goes with temporary credentials. A secret.
    #[serde(default)]
    pub session_token: Option<String>,
    /// Where the store is; Amazon's by default.
    #[serde(default)]
    pub endpoint_url: Option<String>,
}

impl OutputDestination {
    /// Where others find the output.
    pub(crate) fn reference(&self) -> String {
        match self {
            Self::Put { public_url, .. } => public_url.clone(),
            Self::Bucket { s3 } => format!("s3://{}/{}", s3.bucket, s3.key),
        }
    }

    /// A name for the output where it is only kept.
    pub(crate) fn name(&self) -> String {
        let reference = self.reference();
        let path = reference.split(['?', '#']).next().unwrap_or_default();
        path.rsplit('/').next().unwrap_or_default().to_owned()
    }

    /// The same for whoever delivers it.
    ///
    /// # Errors
    /// What is no address or no object.
    pub(crate) fn checked(&self) -> Result<Destination> {
        match self {
            Self::Put { put_url, headers, .. } => {
                let url = put_url.parse().map_err(|_| wrong("put_url is no address"))?;
                let headers = headers.iter().map(|(name, value)| (name.clone(), value.clone())).collect();
                Ok(Destination::Put { url, headers })
            }
            Self::Bucket { s3 } => s3.grant().map(|grant| Destination::Bucket(Box::new(grant))),
        }
    }
}

impl BucketDestination {
    fn grant(&self) -> Result<TransferGrant> {
        let mut object = match serde_json::to_value(self) {
            Ok(serde_json::Value::Object(object)) => object,
            _ => return Err(wrong("it is no bucket")),
        };
        let amazon = || format!("https://s3.{}.amazonaws.com", self.region);
        let endpoint = self.endpoint_url.clone().filter(|url| !url.trim().is_empty()).unwrap_or_else(amazon);
        object.insert("endpoint_url".to_owned(), endpoint.into());
        TransferGrant::from_object(&object).map_err(|error| wrong(&error.to_string()))
    }
}

fn wrong(why: &str) -> WorkerError {
    WorkerError::validation(format!("the output cannot go where the input wants it: {why}"))
}

impl fmt::Debug for OutputDestination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self {
            Self::Put { .. } => "Put",
            Self::Bucket { .. } => "Bucket",
        };
        f.debug_struct(kind).finish_non_exhaustive()
    }
}

impl fmt::Debug for BucketDestination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BucketDestination").finish_non_exhaustive()
    }
}
