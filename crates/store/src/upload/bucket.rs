//! The object that a grant is for, in its bucket (Hub contract, 4d). Owns no state: the bucket has it.

use std::error::Error;

use gen_worker_hub::{api::TransferGrant, client::RetryPolicy, redact};
use object_store::{
    BackoffConfig, MultipartId, ObjectStoreExt as _, PutPayload, RetryConfig,
    aws::{AmazonS3, AmazonS3Builder},
    multipart::{MultipartStore as _, PartId},
    path::Path,
};

use super::{bucket_http::BucketHttp, error::UploadError};

/// Excerpt of what a bucket said, in characters (Hub contract, 1.10).
const EXCERPT_CHARS: usize = 300;

/// One object, and leave to write it.
pub(super) struct BucketObject {
    store: AmazonS3,
    key: Path,
}

/// Parts that become the object when it is finished.
pub(super) struct Begun<'a> {
    object: &'a BucketObject,
    id: MultipartId,
}

impl BucketObject {
    /// The object of `grant`. Asks nobody.
    pub(super) fn of(grant: &TransferGrant, http: BucketHttp, retry: &RetryPolicy) -> Result<Self, UploadError> {
        let builder = AmazonS3Builder::new()
            .with_endpoint(grant.endpoint_url.reveal())
            .with_virtual_hosted_style_request(false)
            .with_bucket_name(&grant.bucket)
            .with_region(&grant.region)
            .with_access_key_id(&grant.access_key_id)
            .with_secret_access_key(&grant.secret_access_key)
            .with_allow_http(true)
            .with_http_connector(http)
            .with_retry(repeated(retry));
        let builder = match &grant.session_token {
            Some(token) => builder.with_token(token),
            None => builder,
        };
        let store = builder.build().map_err(|error| UploadError::Grant(Box::new(error)))?;
        let key = Path::parse(&grant.key).map_err(|error| UploadError::Grant(Box::new(error)))?;
        Ok(Self { store, key })
    }

    /// Writes all of it.
    pub(super) async fn put(&self, content: PutPayload) -> Result<(), UploadError> {
        self.store.put(&self.key, content).await.map(drop).map_err(failed)
    }

    /// Starts to write it in parts.
    pub(super) async fn begin(&self) -> Result<Begun<'_>, UploadError> {
        let id = self.store.create_multipart(&self.key).await.map_err(failed)?;
        Ok(Begun { object: self, id })
    }
}

impl Begun<'_> {
    /// Writes the part `index`, counted from 0.
    pub(super) async fn put_part(&self, index: usize, part: PutPayload) -> Result<PartId, UploadError> {
        let Self { object: BucketObject { store, key }, id } = self;
        store.put_part(key, id, index, part).await.map_err(failed)
    }

    /// All of `parts`, in order, are the object now.
    pub(super) async fn finish(&self, parts: Vec<PartId>) -> Result<(), UploadError> {
        let Self { object: BucketObject { store, key }, id } = self;
        store.complete_multipart(key, id, parts).await.map(drop).map_err(failed)
    }

    /// Gives the parts up. Best effort: the server drops them by itself, later.
    pub(super) async fn abort(&self) {
        let Self { object: BucketObject { store, key }, id } = self;
        drop(store.abort_multipart(key, id).await);
    }
}

/// The policy in the words of the library, which panics on waits that do not grow.
fn repeated(policy: &RetryPolicy) -> RetryConfig {
    let init_backoff = policy.base.max(std::time::Duration::from_millis(1));
    let backoff = BackoffConfig {
        init_backoff,
        max_backoff: policy.cap.max(init_backoff),
        base: f64::from(policy.factor.max(2)),
    };
    let max_retries = usize::try_from(policy.attempts.saturating_sub(1)).unwrap_or(usize::MAX);
    RetryConfig { backoff, max_retries, ..RetryConfig::default() }
}

/// The innermost error says what happened; those around it name addresses.
fn failed(error: object_store::Error) -> UploadError {
    let mut cause: &dyn Error = &error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    UploadError::Transfer { detail: redact(&cause.to_string(), EXCERPT_CHARS) }
}
