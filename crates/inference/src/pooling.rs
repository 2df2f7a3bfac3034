//! From one vector per token to one per text, and its L2 norm.

use crate::packing::PackedBatch;

/// How the vectors of a text's tokens become one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Pooling {
    /// The average over all tokens, special tokens included.
    Mean,
    /// The sum over all tokens divided by the square root of their number.
    MeanSqrtLen,
    /// The vector of the first token.
    Cls,
    /// The largest value of each component.
    Max,
}

/// Smallest norm a vector is divided by, as PyTorch's `normalize` has it: a zero vector stays zero.
const NORM_MIN: f32 = 1e-12;

/// Pools each sequence of `hidden` (rows of `dimension` values) and appends its vector to `vectors`.
///
/// A text without any token gives a zero vector.
pub(crate) fn pool(
    pooling: Pooling,
    normalize: bool,
    batch: &PackedBatch,
    hidden: &[f32],
    dimension: usize,
    vectors: &mut Vec<f32>,
) {
    for index in 0..batch.sequences() {
        let rows = batch.sequence(index);
        let tokens = &hidden[rows.start * dimension..rows.end * dimension];
        let start = vectors.len();
        vectors.resize(start + dimension, 0.0);
        let vector = &mut vectors[start..];
        pool_one(pooling, tokens, vector);
        if normalize {
            normalize_one(vector);
        }
    }
}

fn pool_one(pooling: Pooling, tokens: &[f32], vector: &mut [f32]) {
    let mut rows = tokens.chunks_exact(vector.len());
    let count = rows.len() as f32;
    let Some(first) = rows.next() else { return };
    vector.copy_from_slice(first);
    let scale = match pooling {
        Pooling::Cls => return,
        Pooling::Max => {
            rows.for_each(|row| {
                vector
                    .iter_mut()
                    .zip(row)
                    .for_each(|(most, value)| *most = if *value > *most { *value } else { *most });
            });
            return;
        }
        Pooling::Mean => 1.0 / count,
        Pooling::MeanSqrtLen => 1.0 / count.sqrt(),
    };
    rows.for_each(|row| vector.iter_mut().zip(row).for_each(|(sum, value)| *sum += value));
    vector.iter_mut().for_each(|value| *value *= scale);
}

fn normalize_one(vector: &mut [f32]) {
    // Summed in f64: a vector has few values, and the norm is what every similarity is read against.
    let norm = vector.iter().map(|value| f64::from(*value) * f64::from(*value)).sum::<f64>().sqrt() as f32;
    let inverse = 1.0 / norm.max(NORM_MIN);
    vector.iter_mut().for_each(|value| *value *= inverse);
}

#[cfg(test)]
mod tests;
