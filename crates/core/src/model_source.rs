//! Where the worker gets models from: the seam to the store, and its simplest implementation.

use std::{collections::BTreeMap, future::ready, path::PathBuf};

use futures::future::BoxFuture;
use gen_worker_proto::pb;

use crate::binding::Binding;

/// Gives local directories for bindings.
///
/// Implementations may be asked for the same binding by several tasks at once and fetch it once.
pub trait ModelSource: Send + Sync {
    /// Makes the model of `binding` present and returns its directory. `snapshot` pins its files if the
    /// orchestrator sent one. The directory stays complete for as long as the process lives. Bytes that have to be
    /// transferred are told to `progress`; a model that is present already tells nothing.
    ///
    /// # Errors
    /// When the model cannot be had now.
    ///
    /// # Cancel safety
    /// May be dropped: what was fetched so far may be kept, but never shows up as a complete model.
    fn fetch<'a>(
        &'a self,
        binding: &'a Binding,
        snapshot: Option<&'a pb::Snapshot>,
        progress: &'a dyn FetchProgress,
    ) -> BoxFuture<'a, Result<PathBuf, ModelError>>;

    /// What is held now, for the next `Hello`.
    fn residency(&self) -> Vec<ModelResidency>;

    /// Wire refs that eviction should spare, from the latest `HelloAck`. Replaces the earlier list.
    fn spare(&self, _keep: &[String]) {}
}

/// Hears how a transfer goes.
pub trait FetchProgress: Send + Sync {
    /// `bytes_done` of `bytes_total` are there, 0 = unknown. May be called often, from any task; must not block.
    fn fetched(&self, bytes_done: u64, bytes_total: u64);
}

/// Nobody wants to know.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoProgress;

impl FetchProgress for NoProgress {
    fn fetched(&self, _bytes_done: u64, _bytes_total: u64) {}
}

/// A model that is held, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModelResidency {
    /// Wire ref of the binding it was fetched for.
    pub reference: String,
    /// Highest tier that holds it.
    pub tier: Tier,
    /// Measured footprint in accelerator memory; zero below [`Tier::Vram`].
    pub vram_bytes: u64,
}

/// Where a model is held, from slow to fast.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Tier {
    /// On local disk.
    Disk,
    /// In host memory.
    Ram,
    /// In accelerator memory.
    Vram,
}

/// Why a model cannot be had.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ModelError {
    /// Nobody said where this model is.
    #[error("no local directory was given for model {0}")]
    Unknown(String),
    /// The directory given for it is not there.
    #[error("model directory {} of {reference} cannot be read", dir.display())]
    Directory {
        /// Wire ref of the model.
        reference: String,
        /// The directory.
        dir: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The address that the orchestrator signed is not valid any more: it has to send a new one.
    #[error("the download address of model {0} has expired")]
    UrlExpired(String),
    /// The bytes that came are not the bytes that were promised.
    #[error("a file of model {0} does not have the digest it should have")]
    DigestMismatch(String),
    /// It does not fit on the disk.
    #[error("model {reference} needs {required_bytes} bytes of disk, {available_bytes} are available")]
    InsufficientDisk {
        /// Wire ref of the model.
        reference: String,
        /// What it takes, reserve included.
        required_bytes: u64,
        /// What there is.
        available_bytes: u64,
    },
    /// Another kind of source failed. It may work the next time.
    #[error("model {reference} cannot be fetched")]
    Source {
        /// Wire ref of the model.
        reference: String,
        /// What failed.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl ModelError {
    /// The word for it in a `ModelEvent` (wire contract 11.6).
    #[must_use]
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Unknown(_) => "missing_snapshot",
            Self::UrlExpired(_) => "url_expired",
            Self::DigestMismatch(_) => "digest_mismatch",
            Self::InsufficientDisk { .. } => "insufficient_disk",
            Self::Directory { .. } | Self::Source { .. } => "download_failed",
        }
    }

    /// Whether trying again right away may help (11.7).
    #[must_use]
    pub fn is_passing(&self) -> bool {
        matches!(self, Self::DigestMismatch(_) | Self::Source { .. })
    }
}

/// Models in local directories, named by wire ref. Owns nothing but the table.
#[derive(Clone, Debug, Default)]
pub struct LocalModels(BTreeMap<String, PathBuf>);

impl LocalModels {
    /// A source without models.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Says that the model called `reference` on the wire is in `dir`. The last word about a ref counts.
    #[must_use]
    pub fn with(mut self, reference: impl Into<String>, dir: impl Into<PathBuf>) -> Self {
        self.0.insert(reference.into(), dir.into());
        self
    }

    fn locate(&self, binding: &Binding) -> Result<PathBuf, ModelError> {
        let reference = binding.wire_ref();
        // A person who types `--model` may not know tag or revision: the plain repository name is good enough.
        let Some(dir) = self.0.get(&reference).or_else(|| self.0.get(binding.reference())) else {
            return Err(ModelError::Unknown(reference));
        };
        match std::fs::read_dir(dir) {
            Ok(_) => Ok(dir.clone()),
            Err(source) => Err(ModelError::Directory { reference, dir: dir.clone(), source }),
        }
    }
}

impl ModelSource for LocalModels {
    fn fetch<'a>(
        &'a self,
        binding: &'a Binding,
        _snapshot: Option<&'a pb::Snapshot>,
        _progress: &'a dyn FetchProgress,
    ) -> BoxFuture<'a, Result<PathBuf, ModelError>> {
        Box::pin(ready(self.locate(binding)))
    }

    fn residency(&self) -> Vec<ModelResidency> {
        let held =
            |reference: &String| ModelResidency { reference: reference.clone(), tier: Tier::Disk, vram_bytes: 0 };
        self.0.keys().map(held).collect()
    }
}

#[cfg(test)]
mod tests;
