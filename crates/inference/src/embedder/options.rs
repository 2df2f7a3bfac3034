//! What a caller can choose.

use std::sync::Arc;

use gen_worker_core::context::Device;
use gen_worker_core::instance::LoadOptions;
use gen_worker_core::lora_overlays::AttachLimits;
use gen_worker_core::memory_ladder::{ComputeDtype, OffloadMode, WeightStorage};
use rayon::ThreadPool;

use crate::backend::BackendRequest;
use crate::candle::{Accelerators, Numbers, Placement};

/// Most texts of one call by default: twice what hosted embedding services take.
const TEXTS_MAX: usize = 4096;
/// Longest text by default, in bytes. A model reads a few hundred tokens, about 2 KiB of English; a text a hundred
/// times as long is a mistake, and tokenizing it costs time that nobody sees.
const TEXT_SIZE_BYTES_MAX: usize = 256 << 10;
/// Tokens of one pass by default: enough to keep many cores busy, and about 50 MB of activations at width 384.
const TOKENS_PER_PASS: usize = 4096;

/// Settings of a [`SentenceEmbedder`](super::SentenceEmbedder).
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct EmbedderOptions {
    /// Threads to compute on; `None` is rayon's global pool.
    pub pool: Option<Arc<ThreadPool>>,
    /// The implementation wanted.
    pub backend: BackendRequest,
    /// Most texts of one call.
    pub texts_max: usize,
    /// Longest text, in bytes.
    pub text_size_bytes_max: usize,
    /// Tokens computed at once; bounds memory. A longer text is computed alone.
    pub tokens_per_pass: usize,
    /// Where the model goes.
    pub device: Device,
    /// What accelerators are made of.
    pub accelerators: Accelerators,
    /// Which parts of the model stay on an accelerator between their uses.
    pub offload: OffloadMode,
    /// What is computed in; none = 32 bits. A host computes in 32 bits whatever is asked for.
    pub compute: Option<ComputeDtype>,
    /// How weights are kept.
    pub storage: WeightStorage,
    /// Bounds on the adapters that stay attached.
    pub adapters: AttachLimits,
}

impl Default for EmbedderOptions {
    fn default() -> Self {
        Self {
            pool: None,
            backend: BackendRequest::Auto,
            texts_max: TEXTS_MAX,
            text_size_bytes_max: TEXT_SIZE_BYTES_MAX,
            tokens_per_pass: TOKENS_PER_PASS,
            device: Device::Cpu,
            accelerators: Accelerators::default(),
            offload: OffloadMode::Off,
            compute: None,
            storage: WeightStorage::Plain,
            adapters: AttachLimits::default(),
        }
    }
}

impl EmbedderOptions {
    /// What a worker decided about a model.
    #[must_use]
    pub fn of(decided: &LoadOptions) -> Self {
        Self {
            device: decided.device,
            offload: decided.offload,
            compute: decided.compute,
            storage: decided.storage,
            adapters: decided.adapters.unwrap_or_default(),
            ..Self::default()
        }
    }

    pub(super) fn placement(&self) -> Placement {
        let Self { device, accelerators, offload, compute, storage, .. } = *self;
        Placement { device, accelerators, offload, numbers: Numbers::choose(compute, storage, device, accelerators) }
    }

    /// Runs `work` on a thread of the pool, so that parallel loops inside it need no hand-over.
    pub(super) fn run<R: Send>(&self, work: impl FnOnce() -> R + Send) -> R {
        match &self.pool {
            Some(pool) => pool.install(work),
            None => rayon::scope(|_| work()),
        }
    }
}
