//! The hub: its two stores, its keys, and what it does besides answering.

mod direct;

use std::{collections::HashSet, fmt, sync::Arc};

use futures::TryStreamExt as _;
use gen_worker_hub::{
    ServerId,
    api::PART_SIZE_DEFAULT,
    token::{KeyError, TokenCheck},
};
use parking_lot::Mutex;

pub use direct::Direct;

use crate::{
    api::OperatorToken,
    blobs::BlobStore,
    clock::Clock,
    limiter::Limiter,
    metadata::{Metadata, MetadataError},
    signing::{SECRET_BYTES, UrlSigner, token_signer},
};

/// Expired things, and objects, of one step of [`Hub::tidy`].
const TIDY_STEP: usize = 500;

/// Steps of one [`Hub::tidy`]: what is left then waits for the next.
const TIDY_STEPS_MAX: usize = 200;

/// How long a content that nothing names stays: longer than any address of it lives.
const UNUSED_GRACE_S: u64 = 24 * 60 * 60;

/// Who may see a repository that a commit makes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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
    /// The secret makes no key.
    #[error("the secret of the hub makes no key")]
    Key(#[from] KeyError),
}

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
    pub(crate) tokens: TokenCheck,
    pub(crate) options: HubOptions,
    pub(crate) anonymous: Limiter,
    /// Uploads that are being verified (Hub contract, 4.18).
    pub(crate) completing: Mutex<HashSet<ServerId>>,
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
        let tokens = token_signer(&options.secret)?.check();
        let anonymous = Limiter::new(options.anonymous_per_minute);
        Ok(Self {
            metadata,
            blobs,
            signer,
            tokens,
            options,
            anonymous,
            completing: Mutex::default(),
            strays: Mutex::default(),
        })
    }

    /// Removes what an earlier process left when it was killed. Call it before the first request.
    ///
    /// # Errors
    /// See [`TidyError`].
    pub async fn recover(&self) -> Result<(), TidyError> {
        self.blobs.remove_staged().await?;
        let mut keys = std::pin::pin!(self.blobs.keys().try_chunks(TIDY_STEP));
        while let Some(keys) = keys.try_next().await.map_err(|error| error.1)? {
            let unknown = self.metadata.unknown(keys).await?;
            self.blobs.delete(unknown).await;
        }
        self.tidy().await
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
        for _ in 0..TIDY_STEPS_MAX {
            self.metadata.sweep(now_s.saturating_sub(UNUSED_GRACE_S), now_s, TIDY_STEP).await?;
            let doomed = self.metadata.doomed(TIDY_STEP).await?;
            if doomed.is_empty() {
                break;
            }
            let gone = self.blobs.delete(doomed).await;
            if gone.is_empty() {
                break;
            }
            self.metadata.forget_doomed(gone).await?;
        }
        Ok(())
    }

    /// A guard over an object that is about to be written.
    pub(crate) fn unrecorded(&self, key: &str) -> Unrecorded<'_> {
        Unrecorded { hub: self, key: Some(key.to_owned()) }
    }

    async fn remove_strays(&self) -> Result<(), TidyError> {
        let strays = std::mem::take(&mut *self.strays.lock());
        if strays.is_empty() {
            return Ok(());
        }
        // The record may have been made after all: the call had been sent when its caller was dropped.
        let unknown = self.metadata.unknown(strays.clone()).await.inspect_err(|_| self.strays.lock().extend(strays))?;
        let gone = self.blobs.delete(unknown.clone()).await;
        self.strays.lock().extend(unknown.into_iter().filter(|key| !gone.contains(key)));
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
