//! Addresses of the bucket itself, where clients read objects without the hub in between.

use std::{sync::Arc, time::Duration};

use axum::http::Method;
use gen_worker_hub::SignedUrl;
use object_store::{path::Path, signer::Signer};

use super::BlobStore;
use crate::metadata::Segment;

/// How long an address is good. Each read asks the hub for one of its own, and one that has begun may end later.
const VALID: Duration = Duration::from_secs(60 * 60);

/// Smaller contents come through the hub: an address of them costs a client more time than their bytes cost the hub.
const BYTES_MIN: u64 = 1024 * 1024;

/// Who signs addresses of a bucket, and where in it the objects are.
#[derive(Clone, Debug)]
pub(super) struct Direct {
    signer: Arc<dyn Signer>,
    prefix: Path,
}

impl BlobStore {
    /// The same, with objects that clients read from their bucket by addresses of `signer`. `prefix` is where in it they are.
    #[must_use]
    pub fn read_directly(self, signer: Arc<dyn Signer>, prefix: Path) -> Self {
        Self { direct: Some(Direct { signer, prefix }), ..self }
    }

    /// Whether clients read objects from their bucket.
    #[must_use]
    pub fn is_read_directly(&self) -> bool {
        self.direct.is_some()
    }

    /// An address of the bucket for `method` on a content with these objects, which ends no later than after `valid`; none for
    /// what comes through the hub.
    ///
    /// # Errors
    /// When nothing can be signed now, without credentials for example.
    pub(crate) async fn address(
        &self,
        method: &Method,
        segments: &[Segment],
        valid: Duration,
    ) -> object_store::Result<Option<SignedUrl>> {
        let (Some(direct), [segment]) = (&self.direct, segments) else { return Ok(None) };
        if segment.size_bytes < BYTES_MIN {
            return Ok(None);
        }
        let path: Path = direct.prefix.parts().chain(Path::from(segment.key.as_str()).parts()).collect();
        let url = direct.signer.signed_url(method.clone(), &path, valid.min(VALID)).await?;
        // One that cannot be sent is none.
        Ok(url.as_str().parse().ok())
    }
}
