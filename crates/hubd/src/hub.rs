//! The hub: its two stores and its keys. What it does besides answering is in the files below.

mod ahead;
mod direct;
mod finalize;
mod flights;
mod joining;
mod leftovers;
mod options;
mod sha256;
mod take;
mod timekeeping;
mod upkeep;

use std::{collections::HashSet, fmt, sync::Arc};

use gen_worker_hub::{
    Blake3Hash, ServerId, SignedUrl,
    api::TransferGrant,
    model_ref::RepoName,
    token::{TokenCheck, TokenSigner},
};
use parking_lot::Mutex;
use tokio::sync::{Notify, Semaphore};

pub(crate) use finalize::{FinalizeError, Progress};
pub(crate) use sha256::Sha256Error;

use ahead::Fronts;
use flights::Flights;
use joining::Failures;

pub use direct::{Asker, Direct, Seen};
pub use joining::JoinError;
pub use options::{HubOptions, HubSetupError, TIDY_EVERY, UNUSED_GRACE, Visibility};
pub use upkeep::TidyError;

use crate::{
    api::{ApiError, large::LargeBodies},
    blobs::BlobStore,
    content_kind::ContentKind,
    grants::{Access, Grants},
    limiter::Limiter,
    metadata::{Finalized, MediaFile, Metadata, Upload},
    signing::{UrlSigner, role_signer, token_signer},
    vault::Vault,
};

/// Contents that are hashed again at once, besides those of completes: each keeps a core and the disk busy.
const HASHES_AT_ONCE: usize = 2;

/// Uploads that are hashed while they come. They have turns of their own: the end of an upload waits for no other that still comes.
const AHEAD_AT_ONCE: usize = 2;

/// Uploads in several parts that are read once more at their end: each keeps a core and the disk busy.
const VERIFIED_AT_ONCE: usize = 4;

/// Headers that are held at once: each may have 16 MiB.
const HEADERS_AT_ONCE: usize = 1;

/// What everybody who asks for a finalize is told of it.
pub(crate) type Told = Result<Finalized, ApiError>;

/// Too much is under way, or the hub ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the hub has too much to do")]
pub(crate) struct Busy;

/// The hub behind the routes.
pub struct Hub {
    pub(crate) metadata: Arc<dyn Metadata>,
    pub(crate) blobs: BlobStore,
    pub(crate) signer: UrlSigner,
    pub(crate) grants: Grants,
    pub(crate) vault: Vault,
    pub(crate) tokens: TokenCheck,
    pub(crate) roles: TokenCheck,
    pub(crate) token_signer: TokenSigner,
    pub(crate) options: HubOptions,
    pub(crate) anonymous: Limiter,
    /// Uploads that are being verified (Hub contract, 4.18).
    pub(crate) completing: Arc<Mutex<HashSet<ServerId>>>,
    /// Those of them that came by grant.
    pub(crate) transferring: Flights<ServerId, Result<Upload, ApiError>>,
    /// Commits that become checkpoints.
    finalizing: Flights<(RepoName, ServerId), Told>,
    header_turns: Arc<Semaphore>,
    pub(crate) large_bodies: LargeBodies,
    pub(crate) verifying_turns: Semaphore,
    /// Uploads that are hashed while they come.
    fronts: Fronts,
    ahead_turns: Arc<Semaphore>,
    /// Contents whose SHA-256 is computed.
    hashing: Flights<Blake3Hash, Result<String, Sha256Error>>,
    hashing_turns: Arc<Semaphore>,
    /// Objects that may have been written without being recorded: their request was dropped in between.
    strays: Mutex<Vec<String>>,
    /// A content came that may be in several objects.
    scattered: Notify,
    /// Where contents are joined; none where clients read nothing from a bucket.
    joins: Option<BlobStore>,
    join_failures: Mutex<Failures>,
}

impl Hub {
    /// A hub over its stores.
    ///
    /// # Errors
    /// See [`HubSetupError`].
    pub fn new(metadata: Arc<dyn Metadata>, blobs: BlobStore, options: HubOptions) -> Result<Self, HubSetupError> {
        let signer = UrlSigner::new(&options.secret, &options.public_url);
        if signer.sign(crate::signing::Use::Read, "/", 0).is_none() {
            return Err(HubSetupError::PublicUrl);
        }
        if !options.part_bytes.is_power_of_two() || options.part_bytes < blake3::CHUNK_LEN as u64 {
            return Err(HubSetupError::PartSize);
        }
        if options.connections == 0 || options.connections_per_address == 0 {
            return Err(HubSetupError::Connections);
        }
        let token_signer = token_signer(&options.secret)?;
        let tokens = token_signer.check();
        let roles = role_signer(&options.secret)?.check();
        let anonymous = Limiter::new(options.anonymous_per_minute);
        let grants = Grants::new(&options.secret, &options.public_url);
        let vault = Vault::new(&options.secret);
        let joins = blobs.is_read_directly().then(|| blobs.apart());
        Ok(Self {
            metadata,
            blobs,
            signer,
            grants,
            vault,
            tokens,
            roles,
            token_signer,
            options,
            anonymous,
            completing: Arc::default(),
            transferring: Flights::default(),
            finalizing: Flights::default(),
            header_turns: Arc::new(Semaphore::new(HEADERS_AT_ONCE)),
            large_bodies: LargeBodies::new(),
            verifying_turns: Semaphore::new(VERIFIED_AT_ONCE),
            fronts: Fronts::default(),
            ahead_turns: Arc::new(Semaphore::new(AHEAD_AT_ONCE)),
            hashing: Flights::default(),
            hashing_turns: Arc::new(Semaphore::new(HASHES_AT_ONCE)),
            strays: Mutex::default(),
            scattered: Notify::new(),
            joins,
            join_failures: Mutex::default(),
        })
    }

    /// Where a content is read, as one of this kind if the address tells any; one without may lead on to a bucket. None when the
    /// public URL is no address.
    pub(crate) fn file_address(
        &self,
        content: Blake3Hash,
        kind: Option<&ContentKind>,
        expires_s: u64,
    ) -> Option<SignedUrl> {
        self.signer.sign_content(&format!("/api/v1/files/{content}"), kind, expires_s)
    }

    /// Where a file of media is read, as what was said of it or what its ref says. It comes through the hub: who fetches the files
    /// of a job goes to public addresses only, and a bucket may have none.
    pub(crate) fn media_address(&self, file: &MediaFile, reference: &str, expires_s: u64) -> Option<SignedUrl> {
        let kind = ContentKind::told(&file.mime_type, reference).unwrap_or_else(ContentKind::bytes);
        self.file_address(file.blake3, Some(&kind), expires_s)
    }

    /// Credentials for an hour that read one content, for clients that speak S3 (Hub contract, 4.28). Whether the client may have
    /// it is for the caller to know.
    #[must_use]
    pub fn read_grant(&self, blob: Blake3Hash) -> Option<TransferGrant> {
        self.grants.grant(&Access::Read(blob), self.options.clock.now_s())
    }
}

impl fmt::Debug for Hub {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hub").field("signer", &self.signer).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
