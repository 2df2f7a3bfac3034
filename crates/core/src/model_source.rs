//! Where the worker gets models from: the seam to the store, and its simplest implementation.

mod error;
mod fetched;
mod local;

use std::sync::Arc;

use futures::future::{BoxFuture, ready};
use gen_worker_proto::pb;

pub use error::ModelError;
pub use fetched::FetchedModel;
pub use local::{LocalModels, Overridden};

use crate::{binding::Binding, model_fetch::TRIES_DEFAULT};

/// Hears the wire ref of a model that has left the disk.
pub type TellEvicted = Arc<dyn Fn(&str) + Send + Sync>;

/// Gives local directories for bindings.
///
/// Implementations may be asked for the same binding by several tasks at once and fetch it once.
pub trait ModelSource: Send + Sync {
    /// Makes the model of `binding` present. `snapshot` pins its files if the orchestrator sent one. It stays on disk, and
    /// complete, for as long as what this returns lives. Bytes that have to be transferred are told to `progress`; a model
    /// that is present already tells nothing.
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
    ) -> BoxFuture<'a, Result<FetchedModel, ModelError>>;

    /// Checks all bytes of a model that was fetched, after a load that failed as if they were damaged (model contract,
    /// 6.26). `false`: they are, and the next fetch brings what is wrong anew. A source that owns no bytes has nothing to
    /// check.
    ///
    /// # Errors
    /// When it cannot be checked.
    ///
    /// # Cancel safety
    /// May be dropped.
    fn is_sound<'a>(
        &'a self,
        _binding: &'a Binding,
        _snapshot: Option<&'a pb::Snapshot>,
    ) -> BoxFuture<'a, Result<bool, ModelError>> {
        Box::pin(ready(Ok(true)))
    }

    /// How often [`ModelSource::fetch`] is worth trying in all.
    fn tries(&self) -> u32 {
        TRIES_DEFAULT
    }

    /// What is held now, for the next `Hello`.
    fn residency(&self) -> Vec<ModelResidency>;

    /// Wire refs that eviction should spare, from the latest `HelloAck`. Replaces the earlier list.
    fn spare(&self, _keep: &[String]) {}

    /// From here on `tell` hears which models leave the disk. Replaces whoever heard it before.
    fn on_evicted(&self, _tell: TellEvicted) {}
}

/// Hears how a transfer goes.
pub trait FetchProgress: Send + Sync {
    /// `bytes_done` of `bytes_total` are there, 0 = unknown. May be called often, from any task; must not block.
    fn fetched(&self, bytes_done: u64, bytes_total: u64);

    /// The address that the bytes came from has expired; a new one is asked for.
    fn resolving_again(&self) {}
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

#[cfg(test)]
mod tests;
