//! How the rows of a batch are cut for the threads of a pool.

use std::ops::Range;

use super::workspace::Projections;

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
    pub(super) projected: &'a mut [f32],
    /// The key vectors once more, transposed.
    pub(super) keys: &'a mut [f32],
}

/// Splits the buffers by blocks.
pub(super) fn split<'a>(
    ranges: &[Range<usize>],
    mut hidden: &'a mut [f32],
    projections: &'a mut Projections,
    dimension: usize,
) -> Vec<Block<'a>> {
    let (mut rest_projected, mut rest_keys) = (projections.rows.as_mut_slice(), projections.keys.as_mut_slice());
    ranges
        .iter()
        .map(|rows| {
            let values = rows.len() * dimension;
            Block {
                rows: rows.clone(),
                hidden: take(&mut hidden, values),
                projected: take(&mut rest_projected, 3 * values),
                keys: take(&mut rest_keys, values),
            }
        })
        .collect()
}

/// Cuts the first `count` values off `rest`.
fn take<'a>(rest: &mut &'a mut [f32], count: usize) -> &'a mut [f32] {
    let (first, last) = std::mem::take(rest).split_at_mut(count);
    *rest = last;
    first
}

/// The blocks that have rows in `rows`, each with the part of it that lies in `rows`.
pub(super) fn overlaps(
    ranges: &[Range<usize>],
    rows: Range<usize>,
) -> impl Iterator<Item = (Range<usize>, Range<usize>)> + '_ {
    let first = ranges.partition_point(|block| block.end <= rows.start);
    ranges[first..]
        .iter()
        .take_while(move |block| block.start < rows.end)
        .map(move |block| (block.clone(), block.start.max(rows.start)..block.end.min(rows.end)))
}

#[cfg(test)]
mod tests;
