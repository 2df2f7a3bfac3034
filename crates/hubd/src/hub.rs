//! The hub: its two stores, its keys, and what it does besides answering.

mod direct;
mod finalize;
mod flights;
mod leftovers;
mod sha256;

use std::{collections::HashSet, fmt, sync::Arc, time::Duration};

use gen_worker_hub::{
    Blake3Hash, ServerId,
    api::{PART_SIZE_DEFAULT, TransferGrant},
    model_ref::RepoName,
    token::{KeyError, TokenCheck, TokenSigner},
};
use gen_worker_tasks::Cancel;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use tokio::sync::Semaphore;

pub(crate) use finalize::{FinalizeError, Progress};
pub(crate) use sha256::{Sha256Error, hashed};

use flights::Flights;

pub use direct::Direct;

use crate::{
    api::{ApiError, OperatorToken, large::LargeBodies},
    blobs::BlobStore,
    clock::Clock,
    grants::{Access, Grants},
    limiter::Limiter,
    metadata::{Finalized, Metadata, MetadataError},
    renewal::RunningJobs,
    signing::{SECRET_BYTES, UrlSigner, token_signer},
    vault::Vault,
};

/// Expired things, and objects, of one step of [`Hub::tidy`].
const TIDY_STEP: usize = 500;

/// Steps of one [`Hub::tidy`]: what is left then waits for the next.
const TIDY_STEPS_MAX: usize = 200;

/// Rest between two rounds of [`Hub::run`]: a round that finds nothing costs a few reads of an index, and what expires lives
/// for hours.
const TIDY_EVERY: Duration = Duration::from_secs(60);

/// Rounds from one look at all objects to the next, where other processes may leave some: half a day.
const LOOK_EVERY: u32 = 12 * 60;

/// How long a content that nothing names stays: longer than any address of it lives.
const UNUSED_GRACE_S: u64 = 24 * 60 * 60;

/// Largest file of older workers when nothing else is said, in bytes (Hub contract, 11.2).
const OLD_FILE_BYTES_MAX: u64 = 200 * 1024 * 1024;

/// Connections of a hub: a transfer may hold a megabyte, and each one has a descriptor or two.
const CONNECTIONS: usize = 256;

/// Connections of one address: eight workers with the eight transfers that each may have (Hub contract, 4.13), and no more than
/// a quarter of all.
const CONNECTIONS_PER_ADDRESS: usize = 64;

/// Clients give up themselves after 120 s without progress (Hub contract, section 15); a working one never pauses for half of it.
const STALL: Duration = Duration::from_secs(60);

/// Work over 5 s is answered with "running" (Hub contract, 6.21).
const FINALIZE_WAIT: Duration = Duration::from_secs(5);

/// Contents that are hashed again at once, besides those of completes: each keeps a core and the disk busy.
const HASHES_AT_ONCE: usize = 2;

/// Uploads in several parts that are read once more at their end: each keeps a core and the disk busy.
const VERIFIED_AT_ONCE: usize = 4;

/// Headers that are held at once: each may have 16 MiB.
const HEADERS_AT_ONCE: usize = 1;

/// Who may see a repository that a commit makes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Visibility {
    /// Everybody.
    Public,
    /// Who has a token for it.
    Private,
}

/// Options of a [`Hub`].
pub struct HubOptions {
    /// Where clients find the hub; signed addresses start with it.
    pub public_url: String,
    /// Secret from which the keys of addresses and tokens are derived.
    pub secret: [u8; SECRET_BYTES],
    /// Tokens that may do everything.
    pub operators: Vec<OperatorToken>,
    /// New repositories.
    pub visibility: Visibility,
    /// Resolves of one client address without a token in a minute (Hub contract, 3.13).
    pub anonymous_per_minute: u32,
    /// Bytes of a part: a power of two, at least 1024.
    pub part_bytes: u64,
    /// Largest file of older workers, which send it in one call (Hub contract, 11.2).
    pub old_file_bytes_max: u64,
    /// Who knows which jobs run, where there are any: their tokens can be renewed.
    pub jobs: Option<Arc<dyn RunningJobs>>,
    /// Most connections at once. The next ones wait until one ends.
    pub connections: usize,
    /// Most connections from one address (of IPv6: from one /64 network), the machine of the hub itself excepted.
    pub connections_per_address: usize,
    /// How long a client may send nothing of a body, or take nothing of a reply, before its connection is closed.
    pub stall: Duration,
    /// How long a finalize is waited for before its client is told to ask again (Hub contract, 6.21).
    pub finalize_wait: Duration,
    /// The time.
    pub clock: Clock,
}

/// Why a hub cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum HubSetupError {
    /// The public URL is no address.
    #[error("the public URL of the hub is no address")]
    PublicUrl,
    /// Parts of this size are no subtrees of a hash.
    #[error("the part size of the hub is no power of two from 1024")]
    PartSize,
    /// Nobody could connect.
    #[error("the hub has no room for a connection")]
    Connections,
    /// The secret makes no key.
    #[error("the secret of the hub makes no key")]
    Key(#[from] KeyError),
}

/// What everybody who asks for a finalize is told of it.
pub(crate) type Told = Result<Finalized, ApiError>;

/// Too much is under way, or the hub ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the hub has too much to do")]
pub(crate) struct Busy;

/// Why tidying stopped. It may be tried again.
#[derive(Debug, thiserror::Error)]
pub enum TidyError {
    /// The metadata.
    #[error("cannot tidy the metadata of the hub")]
    Metadata(#[from] MetadataError),
    /// The objects.
    #[error("cannot list the objects of the hub")]
    Objects(#[from] object_store::Error),
    /// The directory.
    #[error("cannot tidy the directory of the hub")]
    Directory(#[from] std::io::Error),
}

/// The hub behind the routes.
pub struct Hub {
    pub(crate) metadata: Arc<dyn Metadata>,
    pub(crate) blobs: BlobStore,
    pub(crate) signer: UrlSigner,
    pub(crate) grants: Grants,
    pub(crate) vault: Vault,
    pub(crate) tokens: TokenCheck,
    pub(crate) token_signer: TokenSigner,
    pub(crate) options: HubOptions,
    pub(crate) anonymous: Limiter,
    /// Uploads that are being verified (Hub contract, 4.18).
    pub(crate) completing: Mutex<HashSet<ServerId>>,
    /// Commits that become checkpoints.
    finalizing: Flights<(RepoName, ServerId), Told>,
    header_turns: Arc<Semaphore>,
    pub(crate) large_bodies: LargeBodies,
    pub(crate) verifying_turns: Semaphore,
    /// Contents whose SHA-256 is computed.
    hashing: Flights<Blake3Hash, Result<String, Sha256Error>>,
    hashing_turns: Arc<Semaphore>,
    /// Objects that may have been written without being recorded: their request was dropped in between.
    strays: Mutex<Vec<String>>,
}

impl HubOptions {
    /// The options of a hub that clients find at `public_url`, with the numbers of the contract.
    #[must_use]
    pub fn new(public_url: impl Into<String>, secret: [u8; SECRET_BYTES]) -> Self {
        Self {
            public_url: public_url.into(),
            secret,
            operators: Vec::new(),
            visibility: Visibility::Private,
            anonymous_per_minute: 60,
            part_bytes: PART_SIZE_DEFAULT,
            old_file_bytes_max: OLD_FILE_BYTES_MAX,
            jobs: None,
            connections: CONNECTIONS,
            connections_per_address: CONNECTIONS_PER_ADDRESS,
            stall: STALL,
            finalize_wait: FINALIZE_WAIT,
            clock: Clock::system(),
        }
    }
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
        let anonymous = Limiter::new(options.anonymous_per_minute);
        let grants = Grants::new(&options.secret, &options.public_url);
        let vault = Vault::new(&options.secret);
        Ok(Self {
            metadata,
            blobs,
            signer,
            grants,
            vault,
            tokens,
            token_signer,
            options,
            anonymous,
            completing: Mutex::default(),
            finalizing: Flights::default(),
            header_turns: Arc::new(Semaphore::new(HEADERS_AT_ONCE)),
            large_bodies: LargeBodies::new(),
            verifying_turns: Semaphore::new(VERIFIED_AT_ONCE),
            hashing: Flights::default(),
            hashing_turns: Arc::new(Semaphore::new(HASHES_AT_ONCE)),
            strays: Mutex::default(),
        })
    }

    /// Drops uploads and commits that have expired, and contents that nothing names. Call it now and then.
    ///
    /// # Errors
    /// See [`TidyError`].
    ///
    /// # Cancel safety
    /// May be dropped; the next call goes on.
    pub async fn tidy(&self) -> Result<(), TidyError> {
        self.remove_strays().await?;
        let now_s = self.options.clock.now_s();
        // Objects that cannot be deleted now are passed over: those behind them can.
        let mut after = String::new();
        for _ in 0..TIDY_STEPS_MAX {
            let more = self.metadata.sweep(now_s.saturating_sub(UNUSED_GRACE_S), now_s, TIDY_STEP).await?;
            let doomed = self.metadata.doomed(after.clone(), TIDY_STEP).await?;
            let last = doomed.last().cloned();
            let gone = self.blobs.delete(doomed).await;
            if !gone.is_empty() {
                self.metadata.forget_doomed(gone).await?;
            }
            if !more && last.is_none() {
                break;
            }
            after = last.unwrap_or(after);
        }
        Ok(())
    }

    /// Credentials for an hour that read one content, for clients that speak S3 (Hub contract, 4.28). Whether the client may have
    /// it is for the caller to know.
    #[must_use]
    pub fn read_grant(&self, blob: Blake3Hash) -> Option<TransferGrant> {
        self.grants.grant(&Access::Read(blob), self.options.clock.now_s())
    }

    /// Tidies now and then until `cancel` asks for a stop. What fails is logged and tried again the next time. Call
    /// [`Hub::recover`] before, and before the first request.
    ///
    /// # Cancel safety
    /// May be dropped.
    pub async fn run(&self, cancel: &Cancel) {
        let rounds = async {
            for round in 1_u32.. {
                tokio::time::sleep(TIDY_EVERY).await;
                if round.is_multiple_of(LOOK_EVERY)
                    && let Err(error) = self.remove_leftovers().await
                {
                    tracing::warn!(error = &error as &dyn std::error::Error, "what others left was not removed");
                }
                if let Err(error) = self.tidy().await {
                    tracing::warn!(error = &error as &dyn std::error::Error, "the hub was not tidied");
                }
            }
        };
        tokio::select! {
            () = cancel.stopped() => {}
            () = rounds => {}
        }
    }

    /// A guard over an object that is about to be written.
    pub(crate) fn unrecorded(&self, key: &str) -> Unrecorded<'_> {
        Unrecorded { hub: self, key: Some(key.to_owned()) }
    }

    async fn remove_strays(&self) -> Result<(), TidyError> {
        // They stay on the list until they are dealt with: this may be dropped on its way.
        let mut done: HashSet<String> = self.strays.lock().iter().cloned().collect();
        if done.is_empty() {
            return Ok(());
        }
        // The record may have been made after all: the call had been sent when its caller was dropped.
        let unknown = self.metadata.unknown(done.iter().cloned().collect()).await?;
        for key in &unknown {
            done.remove(key);
        }
        done.extend(self.blobs.delete(unknown).await);
        self.strays.lock().retain(|key| !done.contains(key));
        Ok(())
    }
}

/// An object that nothing names yet. Unless [`Unrecorded::recorded`] says otherwise, the next [`Hub::tidy`] looks for it.
pub(crate) struct Unrecorded<'a> {
    hub: &'a Hub,
    key: Option<String>,
}

impl Unrecorded<'_> {
    /// The metadata names the object, or has doomed it.
    pub fn recorded(mut self) {
        self.key = None;
    }
}

impl Drop for Unrecorded<'_> {
    fn drop(&mut self) {
        if let Some(key) = self.key.take() {
            self.hub.strays.lock().push(key);
        }
    }
}

impl fmt::Debug for Hub {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hub").field("signer", &self.signer).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
