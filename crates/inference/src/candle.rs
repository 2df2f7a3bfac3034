//! The encoder on Candle: on accelerators, for shapes that the fused encoder does not take, and with weights kept in
//! fewer bits than they are computed in.
//!
//! ```text
//! stages    [embeddings] [layer 0] [layer 1] .. [layer n]
//! whole     all of them stay where the model is
//! groups    they lie in host memory; those that run next are brought to the accelerator together, and dropped after it
//! ```
//! Sequences of one length run together, so nothing is padded and no mask is needed. Stages are the outer loop: what is
//! brought serves the whole batch.
//!
//! An encoder owns its tensors. Nothing else keeps a copy: when it moves, those of the device it leaves are gone.

mod attention;
mod layer;
mod linear;
mod numbers;
mod stage;
mod storage;

use std::collections::BTreeMap;

use candle_core::Tensor;
use gen_worker_core::context::Device;
use gen_worker_core::memory_ladder::OffloadMode;

pub(crate) use linear::TensorPair;
pub(crate) use numbers::Numbers;
pub use storage::Accelerators;

use crate::encoder::Canceled;
use crate::lora::{Active, Adapter, Prepared};
use crate::model_dir::BertConfig;
use crate::packing::PackedBatch;
use crate::weights::{Checkpoint, WeightsError};
use layer::Shape;
use stage::Stage;
use storage::Mover;

/// Most sequences of one forward call. Candle keeps about ten copies of the activations alive, so calls are small.
const SEQUENCES_MAX: usize = 32;

/// The same where activations have to be saved, too.
const SEQUENCES_SLICED_MAX: usize = 4;

/// Stages that are brought together where a whole component is too much: two layers overlap transfers as well as more.
const GROUP_STAGES: usize = 2;

/// Where the tensors of a model go, and in which numbers.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Placement {
    pub(crate) device: Device,
    pub(crate) accelerators: Accelerators,
    pub(crate) offload: OffloadMode,
    pub(crate) numbers: Numbers,
}

/// A model loaded into Candle.
#[derive(Debug)]
pub(crate) struct CandleEncoder {
    stages: Vec<Stage>,
    shape: Shape,
    placement: Placement,
}

/// Why a model could not be loaded into Candle.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum CandleLoadError {
    /// A tensor is missing or wrong.
    #[error(transparent)]
    Weights(#[from] WeightsError),
    /// Candle refused.
    #[error("candle cannot build the model: {0}")]
    Candle(#[from] candle_core::Error),
}

/// Why Candle stopped in the middle of a batch.
#[derive(Debug)]
pub(crate) enum RunError {
    Canceled,
    Candle(candle_core::Error),
}

impl From<Canceled> for RunError {
    fn from(Canceled: Canceled) -> Self {
        Self::Canceled
    }
}

impl From<candle_core::Error> for RunError {
    fn from(error: candle_core::Error) -> Self {
        Self::Candle(error)
    }
}

/// Hidden vectors of sequences of one length.
struct Chunk {
    sequences: Vec<usize>,
    length: usize,
    hidden: Option<Tensor>,
}

impl CandleEncoder {
    /// Reads all weights to where `placement` says: with groups, to host memory.
    ///
    /// # Errors
    ///
    /// When a tensor is missing or differs from what `config` says, or Candle refuses.
    pub(crate) fn load(
        checkpoint: &Checkpoint,
        config: &BertConfig,
        placement: Placement,
    ) -> Result<Self, CandleLoadError> {
        let home = placement.accelerators.open(placement.home())?;
        let load = |index| Stage::load(checkpoint, config, placement.numbers, &home, index);
        let stages = (0..=config.layers).map(load).collect::<Result<_, _>>()?;
        Ok(Self { stages, shape: Shape::of(config), placement })
    }

    /// Moves every tensor to `device`; where that fails all stay where they were.
    ///
    /// # Errors
    ///
    /// When there is no such device, its memory does not suffice, or stages are brought in groups.
    pub(crate) fn move_to(&mut self, device: Device) -> candle_core::Result<()> {
        if device == self.placement.device {
            return Ok(());
        }
        if self.is_spread() {
            return Err(candle_core::Error::msg("a model that is brought in groups does not move"));
        }
        let mut mover = Mover::to(self.placement.accelerators.open(device)?);
        let moved = self.stages.iter().map(|stage| stage.map(&mut |tensor| mover.bring(tensor)));
        // What was there drops with the last of its tensors, here.
        self.stages = moved.collect::<candle_core::Result<_>>()?;
        self.placement.device = device;
        Ok(())
    }

    /// Where tensors are and what they take; storage that they share counts once.
    pub(crate) fn bytes_by_device(&self) -> Vec<(Device, u64)> {
        let mut tensors = Vec::new();
        self.stages.iter().for_each(|stage| stage.each(&mut |tensor| tensors.push(tensor)));
        vec![(self.placement.home(), storage::bytes(tensors.into_iter()))]
    }

    /// Whether stages are brought in groups.
    pub(crate) fn is_spread(&self) -> bool {
        self.placement.is_spread()
    }

    /// An adapter as tensors on the device that computes.
    pub(crate) fn prepare(&self, adapter: &Adapter) -> candle_core::Result<Prepared<TensorPair>> {
        let device = self.placement.accelerators.open(self.placement.device)?;
        let pairs = adapter.pairs.iter();
        pairs.map(|(target, pair)| Ok((*target, TensorPair::new(pair, self.placement.numbers, &device)?))).collect()
    }

    /// Runs the batch with these adapters and writes one vector per row to `hidden`.
    ///
    /// # Errors
    ///
    /// When `canceled` returned true before a stage of a chunk, or Candle failed.
    pub(crate) fn run(
        &self,
        batch: &PackedBatch,
        adapters: &Active<TensorPair>,
        hidden: &mut Vec<f32>,
        canceled: &(dyn Fn() -> bool + Sync),
    ) -> Result<(), RunError> {
        let device = self.placement.accelerators.open(self.placement.device)?;
        let mut chunks = self.chunks(batch);
        for group in self.placement.groups(self.stages.len()) {
            let brought = if self.is_spread() { Some(self.bring(group.clone(), &device)?) } else { None };
            for (offset, index) in group.enumerate() {
                let stages = brought.as_deref().unwrap_or(&self.stages);
                let stage = &stages[if brought.is_some() { offset } else { index }];
                for chunk in &mut chunks {
                    if canceled() {
                        return Err(Canceled.into());
                    }
                    chunk.hidden = Some(stage.forward(batch, chunk, self.shape, adapters, &device)?);
                }
            }
        }
        self.collect(batch, &chunks, hidden)
    }

    /// Copies of stages on the accelerator.
    fn bring(&self, group: std::ops::Range<usize>, device: &candle_core::Device) -> candle_core::Result<Vec<Stage>> {
        let mut mover = Mover::to(device.clone());
        self.stages[group].iter().map(|stage| stage.map(&mut |tensor| mover.bring(tensor))).collect()
    }

    /// The sequences of a batch that run together.
    fn chunks(&self, batch: &PackedBatch) -> Vec<Chunk> {
        let mut by_length: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        for index in 0..batch.sequences() {
            by_length.entry(batch.sequence(index).len()).or_default().push(index);
        }
        by_length.remove(&0);
        let at_once = if self.placement.offload == OffloadMode::Off { SEQUENCES_MAX } else { SEQUENCES_SLICED_MAX };
        let chunks = by_length.into_iter().flat_map(|(length, sequences)| {
            let chunk = move |part: &[usize]| Chunk { sequences: part.to_vec(), length, hidden: None };
            sequences.chunks(at_once).map(chunk).collect::<Vec<_>>()
        });
        chunks.collect()
    }

    fn collect(&self, batch: &PackedBatch, chunks: &[Chunk], hidden: &mut Vec<f32>) -> Result<(), RunError> {
        let width = self.shape.hidden;
        hidden.clear();
        hidden.resize(batch.rows() * width, 0.0);
        for chunk in chunks {
            let Some(vectors) = &chunk.hidden else { continue };
            let vectors = vectors.to_dtype(candle_core::DType::F32)?.flatten_all()?.to_vec1::<f32>()?;
            for (sequence, vectors) in chunk.sequences.iter().zip(vectors.chunks_exact(chunk.length * width)) {
                let rows = batch.sequence(*sequence);
                hidden[rows.start * width..rows.end * width].copy_from_slice(vectors);
            }
        }
        Ok(())
    }
}

impl Placement {
    fn is_spread(&self) -> bool {
        self.device != Device::Cpu && !self.offload.is_movable()
    }

    /// Where stages lie while nobody runs them.
    fn home(&self) -> Device {
        if self.is_spread() { Device::Cpu } else { self.device }
    }

    /// Which of so many stages are on the accelerator together.
    fn groups(&self, stages: usize) -> Vec<std::ops::Range<usize>> {
        let size = match self.offload {
            OffloadMode::Group => GROUP_STAGES,
            OffloadMode::Sequential => 1,
            // The embeddings are one component, the layers the other.
            OffloadMode::Model => return vec![0..1, 1..stages],
            OffloadMode::Off | OffloadMode::VaeOnly => stages,
        };
        (0..stages).step_by(size).map(|start| start..(start + size).min(stages)).collect()
    }
}

#[cfg(test)]
mod tests;
