//! LayerNorm of whole rows in place.

use super::fused;

/// Independent partial sums: enough to hide the latency of an addition and a whole number of vectors.
const LANES: usize = 32;

/// Normalises each row of `gain.len()` values to mean 0 and variance 1, then multiplies by `gain` and adds `shift`.
///
/// The variance is that of the centred values (two passes over a row that is in the first-level cache), so large
/// means lose no precision.
#[inline(always)]
pub(super) fn apply<const FUSED: bool>(rows: &mut [f32], gain: &[f32], shift: &[f32], epsilon: f32) {
    if gain.is_empty() {
        return;
    }
    let scale = 1.0 / gain.len() as f32;
    for row in rows.chunks_exact_mut(gain.len()) {
        let mean = sum::<FUSED>(row, |sum, value| sum + value) * scale;
        row.iter_mut().for_each(|value| *value -= mean);
        let variance = sum::<FUSED>(row, |sum, value| fused::<FUSED>(value, value, sum)) * scale;
        let inverse = 1.0 / (variance + epsilon).sqrt();
        for ((value, gain), shift) in row.iter_mut().zip(gain).zip(shift) {
            *value = fused::<FUSED>(*value * inverse, *gain, *shift);
        }
    }
}

/// Folds a row into [`LANES`] partial sums, then into one.
#[inline(always)]
fn sum<const FUSED: bool>(row: &[f32], add: impl Fn(f32, f32) -> f32) -> f32 {
    let mut partial = [0.0_f32; LANES];
    let chunks = row.chunks_exact(LANES);
    let rest = chunks.remainder();
    for chunk in chunks {
        for (sum, value) in partial.iter_mut().zip(chunk) {
            *sum = add(*sum, *value);
        }
    }
    let tail = rest.iter().fold(0.0, |sum, value| add(sum, *value));
    partial.iter().sum::<f32>() + tail
}
