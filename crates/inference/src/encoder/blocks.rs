//! How the rows of a batch are cut for the threads of a pool.

use std::ops::Range;

/// Most rows of a block. With 384 hidden values its activations (two rows of 1.5 KiB and a slice of intermediate
/// values each) take about 200 KiB of the second-level cache, which leaves room for the stream of weights.
const ROWS_MAX: usize = 48;

/// Fewest rows of a block: fewer do not fill a register tile, and each block reads all weights once.
const ROWS_MIN: usize = 6;

/// Equal blocks, a multiple of `threads` of them when there are enough rows, so that all threads end together.
pub(super) fn cut(rows: usize, threads: usize) -> Vec<Range<usize>> {
    let threads = threads.max(1);
    let rounds = rows.div_ceil(threads * ROWS_MAX);
    let count = (rounds * threads).min(rows.div_ceil(ROWS_MIN)).max(1);
    (0..count).map(|index| index * rows / count..(index + 1) * rows / count).collect()
}

/// One block's part of the buffers that a pass writes.
pub(super) struct Block<'a> {
    /// Its rows in the batch.
    pub(super) rows: Range<usize>,
    /// Its hidden vectors.
    pub(super) hidden: &'a mut [f32],
    /// Its query, key and value vectors for the next layer, one after the other in each row.
    pub(super) projections: &'a mut [f32],
}

/// Splits the buffers by blocks.
pub(super) fn split<'a>(
    ranges: &[Range<usize>],
    mut hidden: &'a mut [f32],
    mut projections: &'a mut [f32],
    dimension: usize,
) -> Vec<Block<'a>> {
    ranges
        .iter()
        .map(|rows| {
            let (hidden_block, rest) = std::mem::take(&mut hidden).split_at_mut(rows.len() * dimension);
            hidden = rest;
            let (projections_block, rest) =
                std::mem::take(&mut projections).split_at_mut(rows.len() * 3 * dimension);
            projections = rest;
            Block { rows: rows.clone(), hidden: hidden_block, projections: projections_block }
        })
        .collect()
}
