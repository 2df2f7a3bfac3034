//! The buffers of one run, reused from run to run: fresh zeroed memory costs page faults.

use std::sync::{Mutex, PoisonError};

/// Activations of a batch. Grows to the largest batch it has seen, which the embedder's token budget bounds.
#[derive(Debug, Default)]
pub(crate) struct Workspace {
    rows: usize,
    dimension: usize,
    hidden: Vec<f32>,
    current: Projections,
    upcoming: Projections,
    scratches: ScratchPool,
}

impl Workspace {
    /// One vector per row of the last batch.
    pub(crate) fn hidden(&self) -> &[f32] {
        &self.hidden[..self.rows * self.dimension]
    }

    /// Makes room for a batch.
    pub(super) fn reserve(&mut self, rows: usize, dimension: usize) {
        (self.rows, self.dimension) = (rows, dimension);
        let values = rows * dimension;
        grow(&mut self.hidden, values);
        for projections in [&mut self.current, &mut self.upcoming] {
            grow(&mut projections.rows, 3 * values);
            grow(&mut projections.keys, values);
        }
    }

    /// Hidden vectors, projections to read, projections to write, and the scratch buffers.
    pub(super) fn parts(&mut self) -> (&mut [f32], &Projections, &mut Projections, &ScratchPool) {
        let values = self.rows * self.dimension;
        (&mut self.hidden[..values], &self.current, &mut self.upcoming, &self.scratches)
    }

    /// What was written becomes what is read.
    pub(super) fn swap(&mut self) {
        std::mem::swap(&mut self.current, &mut self.upcoming);
    }
}

/// Query, key and value of every row for one layer. The buffers may be longer than the batch.
#[derive(Debug, Default)]
pub(super) struct Projections {
    /// Query, key and value of each row, one after the other.
    pub(super) rows: Vec<f32>,
    /// The keys once more, transposed block by block: for each block of rows, `hidden` rows of one value per row of
    /// the block. Attention multiplies with them as they lie.
    pub(super) keys: Vec<f32>,
}

fn grow(buffer: &mut Vec<f32>, values: usize) {
    if buffer.len() < values {
        buffer.resize(values, 0.0);
    }
}

/// Buffers of one block in work; their content means nothing between uses.
#[derive(Debug, Default)]
pub(super) struct Scratch {
    /// Attention result of the block.
    pub(super) context: Vec<f32>,
    /// Scores of one head.
    pub(super) scores: Vec<f32>,
    /// A slice of the intermediate values.
    pub(super) intermediate: Vec<f32>,
    /// Result of the feed-forward block.
    pub(super) output: Vec<f32>,
}

/// The first `values` of a scratch buffer, grown when needed, with whatever they hold.
pub(super) fn space(buffer: &mut Vec<f32>, values: usize) -> &mut [f32] {
    grow(buffer, values);
    &mut buffer[..values]
}

/// Idle scratch buffers: as many as blocks ever ran at once.
#[derive(Debug, Default)]
pub(super) struct ScratchPool(Mutex<Vec<Scratch>>);

impl ScratchPool {
    /// A scratch, used or new.
    pub(super) fn take(&self) -> Scratch {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).pop().unwrap_or_default()
    }

    /// Gives a scratch back.
    pub(super) fn put(&self, scratch: Scratch) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(scratch);
    }
}
