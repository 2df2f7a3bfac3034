//! Attention of the rows of one block, head by head, on strided views of the projections.

use std::ops::Range;

use crate::kernel::{Kernels, Operand, Target};
use crate::packing::PackedBatch;

use super::workspace::{Scratch, space};
use super::{Shape, blocks};

/// The projections of a whole batch, as the pass before left them.
#[derive(Debug, Clone, Copy)]
pub(super) struct Projected<'a> {
    /// Which row belongs to which sequence.
    pub(super) batch: &'a PackedBatch,
    /// The blocks of rows, by which `keys` is laid out.
    pub(super) ranges: &'a [Range<usize>],
    /// Query, key and value of each row, one after the other.
    pub(super) values: &'a [f32],
    /// Keys transposed, block by block.
    pub(super) keys: &'a [f32],
}

/// Writes the attention result of `rows` to `scratch.context`.
///
/// Queries are read for `rows`, keys and values for every row of the sequences that `rows` touch.
pub(super) fn attend(
    kernels: Kernels,
    shape: Shape,
    projected: Projected<'_>,
    rows: Range<usize>,
    scratch: &mut Scratch,
) {
    let stride = 3 * shape.hidden;
    let scale = 1.0 / (shape.head as f32).sqrt();
    let context = space(&mut scratch.context, rows.len() * shape.hidden);
    context.fill(0.0);
    for (sequence, part) in projected.batch.overlaps(rows.clone()) {
        let context = &mut context[(part.start - rows.start) * shape.hidden..];
        for head in 0..shape.heads {
            let offset = head * shape.head;
            let scores = space(&mut scratch.scores, part.len() * sequence.len());
            score(kernels, shape, projected, offset, &part, &sequence, scores);
            kernels.softmax(scores, sequence.len(), scale);
            let values = &projected.values[sequence.start * stride + 2 * shape.hidden + offset..];
            kernels.multiply_add(
                (part.len(), sequence.len(), shape.head),
                Operand { values: scores, stride: sequence.len() },
                Operand { values, stride },
                Target { values: &mut context[offset..], stride: shape.hidden },
            );
        }
    }
}

/// Products of the queries of `part` with the keys of `sequence`, for the head at `offset`.
fn score(
    kernels: Kernels,
    shape: Shape,
    projected: Projected<'_>,
    offset: usize,
    part: &Range<usize>,
    sequence: &Range<usize>,
    scores: &mut [f32],
) {
    scores.fill(0.0);
    let stride = 3 * shape.hidden;
    let queries = Operand { values: &projected.values[part.start * stride + offset..], stride };
    for (block, keys) in blocks::overlaps(projected.ranges, sequence.clone()) {
        let start = block.start * shape.hidden + offset * block.len() + (keys.start - block.start);
        kernels.multiply_add(
            (part.len(), shape.head, keys.len()),
            queries,
            Operand { values: &projected.keys[start..], stride: block.len() },
            Target { values: &mut scores[keys.start - sequence.start..], stride: sequence.len() },
        );
    }
}
