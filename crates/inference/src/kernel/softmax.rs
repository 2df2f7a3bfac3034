//! Softmax of attention scores in place.

use super::exponential::exponential;

/// Independent partial results: two vectors of eight.
const LANES: usize = 16;

/// Replaces each row of `columns` scores by `softmax(scale * row)`. `scale` is positive.
#[inline(always)]
pub(super) fn apply<const FUSED: bool>(rows: &mut [f32], columns: usize, scale: f32) {
    if columns == 0 {
        return;
    }
    for row in rows.chunks_exact_mut(columns) {
        let largest = fold(row, f32::NEG_INFINITY, |a, b| if b > a { b } else { a });
        row.iter_mut().for_each(|value| *value = exponential::<FUSED>((*value - largest) * scale));
        let inverse = 1.0 / fold(row, 0.0, |a, b| a + b);
        row.iter_mut().for_each(|value| *value *= inverse);
    }
}

#[inline(always)]
fn fold(row: &[f32], start: f32, join: impl Fn(f32, f32) -> f32) -> f32 {
    let mut partial = [start; LANES];
    let chunks = row.chunks_exact(LANES);
    let rest = chunks.remainder();
    for chunk in chunks {
        for (result, value) in partial.iter_mut().zip(chunk) {
            *result = join(*result, *value);
        }
    }
    let tail = rest.iter().fold(start, |result, value| join(result, *value));
    partial.iter().fold(tail, |result, value| join(result, *value))
}
