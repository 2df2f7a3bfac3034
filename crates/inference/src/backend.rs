//! Which implementation runs a model: a plain function of the request and the model's shape.

use gen_worker_core::context::Device;
use gen_worker_core::memory_ladder::WeightStorage;

use crate::EmbedderOptions;
use crate::kernel::MatrixKernel;
use crate::model_dir::BertConfig;

/// Widest attention head the fused encoder takes: its blocks hold the keys of one head in the second-level cache.
const HEAD_SIZE_MAX: usize = 256;

/// Longest sequence the fused encoder takes: a block holds its rows of scores, 48 by the sequence, in scratch memory.
const POSITIONS_MAX: usize = 1 << 14;

/// An implementation of the encoder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Backend {
    /// Our fused encoder with the given matrix kernel.
    Fused(MatrixKernel),
    /// Candle's BERT.
    Candle,
}

/// What the caller wants run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum BackendRequest {
    /// The fused encoder where it takes the model, Candle otherwise.
    #[default]
    Auto,
    /// The fused encoder with this matrix kernel where CPU and model allow it, otherwise as `Auto`.
    Fused(MatrixKernel),
    /// Candle, whatever the model.
    Candle,
}

/// Why `choose` chose as it did; logged once per load.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum BackendReason {
    /// The fused encoder takes the model, with the kernel that suits the CPU or was asked for.
    Supported,
    /// The caller asked for this implementation.
    Requested,
    /// The model goes to an accelerator.
    OnAccelerator,
    /// Weights are kept in fewer bits than the fused encoder computes in.
    NarrowWeights,
    /// The CPU cannot run the kernel asked for; its own best kernel is used.
    KernelUnsupported,
    /// An attention head is wider than the fused encoder takes.
    HeadTooWide,
    /// Sequences may be longer than the fused encoder takes.
    SequenceTooLong,
}

/// Chooses the implementation and says why.
pub(crate) fn choose(config: &BertConfig, options: &EmbedderOptions) -> (Backend, BackendReason) {
    if options.device != Device::Cpu {
        return (Backend::Candle, BackendReason::OnAccelerator);
    }
    let request = options.backend;
    if request == BackendRequest::Candle {
        return (Backend::Candle, BackendReason::Requested);
    }
    if options.storage != WeightStorage::Plain {
        return (Backend::Candle, BackendReason::NarrowWeights);
    }
    if config.head_size() > HEAD_SIZE_MAX {
        return (Backend::Candle, BackendReason::HeadTooWide);
    }
    if config.positions > POSITIONS_MAX {
        return (Backend::Candle, BackendReason::SequenceTooLong);
    }
    match request {
        BackendRequest::Fused(kernel) if kernel.is_supported() => (Backend::Fused(kernel), BackendReason::Requested),
        BackendRequest::Fused(_) => (Backend::Fused(MatrixKernel::detect()), BackendReason::KernelUnsupported),
        _ => (Backend::Fused(MatrixKernel::detect()), BackendReason::Supported),
    }
}

#[cfg(test)]
mod tests;
