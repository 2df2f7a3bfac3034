//! The encoder behind an embedder, whichever it is, with the adapters it has at hand.

use std::sync::{Mutex, PoisonError};

use gen_worker_core::context::{Device, Lora};
use gen_worker_core::lora_overlays::AttachLimits;

use super::{EmbedError, LoadError};
use crate::backend::Backend;
use crate::candle::{CandleEncoder, CandleLoadError, Placement, RunError, TensorPair};
use crate::encoder::{Canceled, FusedEncoder, PackedPair, Workspace};
use crate::kernel::Kernels;
use crate::lora::{Active, Attachments};
use crate::model_dir::BertConfig;
use crate::packing::PackedBatch;
use crate::weights::Checkpoint;

/// An encoder, and what is laid over it.
#[derive(Debug)]
pub(super) enum Engine {
    Fused { encoder: Box<FusedEncoder>, adapters: Attachments<PackedPair>, idle: Mutex<Option<Workspace>> },
    Candle { encoder: Box<CandleEncoder>, adapters: Attachments<TensorPair> },
}

/// The adapters of one call, in the form of the engine.
pub(super) enum Overlay {
    Fused(Active<PackedPair>),
    Candle(Active<TensorPair>),
}

impl Engine {
    pub(super) fn load(
        checkpoint: &Checkpoint,
        config: &BertConfig,
        backend: Backend,
        placement: Placement,
        limits: AttachLimits,
    ) -> Result<Self, LoadError> {
        match backend {
            Backend::Fused(matrix) => {
                let kernels = Kernels::with_matrix(matrix).expect("only supported kernels are chosen");
                let encoder = Box::new(FusedEncoder::load(checkpoint, config, kernels)?);
                Ok(Self::Fused { encoder, adapters: Attachments::new(limits), idle: Mutex::new(None) })
            }
            Backend::Candle => match CandleEncoder::load(checkpoint, config, placement) {
                Ok(encoder) => Ok(Self::Candle { encoder: Box::new(encoder), adapters: Attachments::new(limits) }),
                Err(CandleLoadError::Weights(error)) => Err(LoadError::Weights(error)),
                Err(CandleLoadError::Candle(error)) => Err(LoadError::Candle(error.to_string())),
            },
        }
    }

    /// Whether it can leave its device and come back.
    pub(super) fn is_movable(&self) -> bool {
        matches!(self, Self::Candle { encoder, .. } if !encoder.is_spread())
    }

    /// Moves to `device`; adapters are dropped.
    ///
    /// # Errors
    ///
    /// When it cannot move, or Candle fails. It is where it was then.
    pub(super) fn move_to(&mut self, device: Device) -> Result<(), EmbedError> {
        match self {
            Self::Fused { .. } if device == Device::Cpu => Ok(()),
            Self::Fused { .. } => Err(EmbedError::Candle("the fused encoder runs on the host only".to_owned())),
            Self::Candle { encoder, adapters } => {
                adapters.detach_all();
                encoder.move_to(device).map_err(|error| EmbedError::Candle(error.to_string()))
            }
        }
    }

    /// Where its weights and adapters are, and what they take.
    pub(super) fn bytes_by_device(&self) -> Vec<(Device, u64)> {
        match self {
            Self::Fused { encoder, adapters, .. } => vec![(Device::Cpu, encoder.bytes() + adapters.held().1)],
            Self::Candle { encoder, adapters } => {
                let held = adapters.held().1;
                encoder.bytes_by_device().into_iter().map(|(device, bytes)| (device, bytes + held)).collect()
            }
        }
    }

    /// How many adapters are attached, and their bytes together.
    pub(super) fn attached(&self) -> (usize, u64) {
        match self {
            Self::Fused { adapters, .. } => adapters.held(),
            Self::Candle { adapters, .. } => adapters.held(),
        }
    }

    /// Gets the adapters of a call ready.
    pub(super) fn overlay(&self, loras: &[Lora], config: &BertConfig) -> Result<Overlay, EmbedError> {
        match self {
            Self::Fused { encoder, adapters, .. } => {
                let prepare = |adapter: &_| Ok::<_, EmbedError>(encoder.prepare(adapter));
                adapters.activate(loras, config, prepare).map(Overlay::Fused)
            }
            Self::Candle { encoder, adapters } => {
                let failed = |error: candle_core::Error| EmbedError::Candle(error.to_string());
                let prepare = |adapter: &_| encoder.prepare(adapter).map_err(failed);
                adapters.activate(loras, config, prepare).map(Overlay::Candle)
            }
        }
    }

    /// Runs a batch and shows its hidden vectors to `read`. `overlay` is of this engine.
    pub(super) fn run(
        &self,
        batch: &PackedBatch,
        overlay: &Overlay,
        canceled: &(dyn Fn() -> bool + Sync),
        read: impl FnOnce(&[f32]),
    ) -> Result<(), EmbedError> {
        match (self, overlay) {
            (Self::Fused { encoder, idle, .. }, Overlay::Fused(active)) => {
                let mut workspace = idle.lock().unwrap_or_else(PoisonError::into_inner).take().unwrap_or_default();
                let done = encoder.run(batch, active, &mut workspace, canceled);
                if done.is_ok() {
                    read(workspace.hidden());
                }
                *idle.lock().unwrap_or_else(PoisonError::into_inner) = Some(workspace);
                done.map_err(|Canceled| EmbedError::Canceled)
            }
            (Self::Candle { encoder, .. }, Overlay::Candle(active)) => {
                let mut hidden = Vec::new();
                encoder.run(batch, active, &mut hidden, canceled).map_err(|error| match error {
                    RunError::Canceled => EmbedError::Canceled,
                    RunError::Candle(error) => EmbedError::Candle(error.to_string()),
                })?;
                read(&hidden);
                Ok(())
            }
            _ => unreachable!("an overlay is made by the engine that runs it"),
        }
    }
}
