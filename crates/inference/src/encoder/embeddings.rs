//! The embedding sum and its LayerNorm.

use crate::kernel::Kernels;
use crate::model_dir::BertConfig;
use crate::weights::{Checkpoint, Tensor, WeightsError};

use super::Shape;

/// The three tables. The word table stays in the mapped file: only the rows that texts use are ever read.
#[derive(Debug)]
pub(super) struct Embeddings {
    words: Tensor,
    positions: Tensor,
    segments: Tensor,
    gain: Tensor,
    shift: Tensor,
}

impl Embeddings {
    /// Finds the tables in the checkpoint.
    pub(super) fn load(checkpoint: &Checkpoint, config: &BertConfig) -> Result<Self, WeightsError> {
        let hidden = config.hidden_size;
        Ok(Self {
            words: checkpoint.tensor("embeddings.word_embeddings.weight", &[config.vocabulary, hidden])?,
            positions: checkpoint.tensor("embeddings.position_embeddings.weight", &[config.positions, hidden])?,
            segments: checkpoint.tensor("embeddings.token_type_embeddings.weight", &[config.segments, hidden])?,
            gain: checkpoint.layer_norm_gain("embeddings.LayerNorm", hidden)?,
            shift: checkpoint.layer_norm_shift("embeddings.LayerNorm", hidden)?,
        })
    }

    /// How many numbers the tables have.
    pub(super) fn values(&self) -> usize {
        [&self.words, &self.positions, &self.segments].map(|table| table.values().len()).iter().sum()
    }

    /// Writes the normalised sum of each token's three embeddings.
    pub(super) fn embed(
        &self,
        kernels: Kernels,
        shape: Shape,
        tokens: impl Iterator<Item = (u32, u32, usize)>,
        hidden: &mut [f32],
    ) {
        let width = shape.hidden;
        let (words, positions, segments) = (self.words.values(), self.positions.values(), self.segments.values());
        let row = |index: usize| index * width..(index + 1) * width;
        for ((word, segment, position), out) in tokens.zip(hidden.chunks_exact_mut(width)) {
            let word = &words[row(word as usize)];
            let position = &positions[row(position)];
            let segment = &segments[row(segment as usize)];
            for (((out, word), position), segment) in out.iter_mut().zip(word).zip(position).zip(segment) {
                *out = word + segment + position;
            }
        }
        kernels.layer_norm(hidden, self.gain.values(), self.shift.values(), shape.epsilon);
    }
}
