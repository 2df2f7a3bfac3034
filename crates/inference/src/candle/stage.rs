//! A part of the encoder that is brought to an accelerator as a whole.

use candle_core::{Device, Tensor};

use super::layer::{Layer, Norm, Shape};
use super::linear::{TensorPair, tensor};
use super::{CandleLoadError, Chunk, Numbers};
use crate::lora::Active;
use crate::model_dir::BertConfig;
use crate::packing::PackedBatch;
use crate::weights::Checkpoint;

/// The embeddings, or a layer.
#[derive(Debug)]
pub(super) enum Stage {
    /// Tables of words, positions and segments, and the LayerNorm of their sum.
    Embeddings { tables: [Tensor; 3], norm: Norm },
    /// A layer and its number.
    Layer(usize, Box<Layer>),
}

impl Stage {
    /// Stage 0 is the embeddings, the others are layers.
    pub(super) fn load(
        checkpoint: &Checkpoint,
        config: &BertConfig,
        numbers: Numbers,
        device: &Device,
        index: usize,
    ) -> Result<Self, CandleLoadError> {
        if let Some(layer) = index.checked_sub(1) {
            return Ok(Self::Layer(layer, Box::new(Layer::load(checkpoint, config, numbers, device, layer)?)));
        }
        let table = |name: &str, rows: usize| -> Result<Tensor, CandleLoadError> {
            let name = format!("embeddings.{name}_embeddings.weight");
            let table = tensor(checkpoint, &name, &[rows, config.hidden_size], &Device::Cpu)?;
            Ok(table.to_dtype(numbers.compute)?.to_device(device)?)
        };
        let tables = [
            table("word", config.vocabulary)?,
            table("position", config.positions)?,
            table("token_type", config.segments)?,
        ];
        let norm = Norm::load(checkpoint, "embeddings.LayerNorm", config.hidden_size, numbers, device)?;
        Ok(Self::Embeddings { tables, norm })
    }

    /// The hidden vectors of a chunk after this stage.
    pub(super) fn forward(
        &self,
        batch: &PackedBatch,
        chunk: &Chunk,
        shape: Shape,
        adapters: &Active<TensorPair>,
        device: &Device,
    ) -> candle_core::Result<Tensor> {
        match (self, &chunk.hidden) {
            (Self::Layer(index, layer), Some(hidden)) => {
                layer.forward(hidden, (chunk.sequences.len(), chunk.length), shape, *index, adapters)
            }
            (Self::Embeddings { tables: [words, positions, segments], norm }, _) => {
                let tokens: Vec<_> =
                    chunk.sequences.iter().flat_map(|sequence| batch.tokens(batch.sequence(*sequence))).collect();
                let rows = |table: &Tensor, ids: Vec<u32>| {
                    let count = ids.len();
                    table.index_select(&Tensor::from_vec(ids, count, device)?, 0)
                };
                let positions = rows(positions, tokens.iter().map(|token| token.2 as u32).collect())?;
                let words = rows(words, tokens.iter().map(|token| token.0).collect())?;
                let segments = rows(segments, tokens.iter().map(|token| token.1).collect())?;
                norm.forward(&((words + segments)? + positions)?, shape.epsilon)
            }
            (Self::Layer(..), None) => Err(candle_core::Error::msg("a layer ran before the embeddings")),
        }
    }

    /// The same stage of other tensors.
    pub(super) fn map(
        &self,
        with: &mut dyn FnMut(&Tensor) -> candle_core::Result<Tensor>,
    ) -> candle_core::Result<Self> {
        Ok(match self {
            Self::Layer(index, layer) => Self::Layer(*index, Box::new(layer.map(with)?)),
            Self::Embeddings { tables: [words, positions, segments], norm } => {
                Self::Embeddings { tables: [with(words)?, with(positions)?, with(segments)?], norm: norm.map(with)? }
            }
        })
    }

    /// Shows every tensor.
    pub(super) fn each<'a>(&'a self, see: &mut dyn FnMut(&'a Tensor)) {
        match self {
            Self::Layer(_, layer) => layer.each(see),
            Self::Embeddings { tables, norm } => {
                tables.iter().for_each(&mut *see);
                norm.each(see);
            }
        }
    }
}
