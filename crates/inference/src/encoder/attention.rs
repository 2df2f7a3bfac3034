//! Attention of the rows of one block, head by head, on strided views of the projections.

use std::ops::Range;

use crate::kernel::{Kernels, Operand, Target, pack_transposed_rows};
use crate::packing::PackedBatch;

use super::Shape;
use super::workspace::{Scratch, space};

/// Writes the attention result of `rows` to `scratch.context`.
///
/// `projections` holds query, key and value of every row of the batch, one after the other; queries are read for
/// `rows`, keys and values for every row of the sequences that `rows` touch.
pub(super) fn attend(
    kernels: Kernels,
    shape: Shape,
    batch: &PackedBatch,
    rows: Range<usize>,
    projections: &[f32],
    scratch: &mut Scratch,
) {
    let stride = 3 * shape.hidden;
    let scale = 1.0 / (shape.head as f32).sqrt();
    let context = space(&mut scratch.context, rows.len() * shape.hidden);
    context.fill(0.0);
    for (sequence, part) in batch.overlaps(rows.clone()) {
        let (keys_count, queries_count) = (sequence.len(), part.len());
        let projected = &projections[sequence.start * stride..sequence.end * stride];
        let queries = &projections[part.start * stride..part.end * stride];
        let context = &mut context[(part.start - rows.start) * shape.hidden..];
        for head in 0..shape.heads {
            let offset = head * shape.head;
            let keys = space(&mut scratch.keys, keys_count * shape.head);
            pack_keys(kernels, &projected[shape.hidden + offset..], (stride, shape.head), keys_count, keys);
            let scores = space(&mut scratch.scores, queries_count * keys_count);
            scores.fill(0.0);
            let query = Operand { values: &queries[offset..], stride };
            for (panel, start) in keys.chunks(kernels.panel_width() * shape.head).zip((0..).step_by(kernels.panel_width())) {
                let width = panel.len() / shape.head;
                let target = Target { values: &mut scores[start..], stride: keys_count };
                let panel = Operand { values: panel, stride: width };
                kernels.multiply_add((queries_count, shape.head, width), query, panel, target);
            }
            kernels.softmax(scores, keys_count, scale);
            let values = Operand { values: &projected[2 * shape.hidden + offset..], stride };
            let weights = Operand { values: scores, stride: keys_count };
            let target = Target { values: &mut context[offset..], stride: shape.hidden };
            kernels.multiply_add((queries_count, keys_count, shape.head), weights, values, target);
        }
    }
}

/// Transposes the keys of one head into panels of the kernel's width.
fn pack_keys(kernels: Kernels, keys: &[f32], (stride, size): (usize, usize), count: usize, packed: &mut [f32]) {
    let width = kernels.panel_width();
    for (panel, start) in packed.chunks_mut(width * size).zip((0..count).step_by(width)) {
        let rows = start..(start + width).min(count);
        let columns = rows.len();
        pack_transposed_rows(rows.map(|row| &keys[row * stride..row * stride + size]), columns, panel);
    }
}
