//! Weights packed once, at load, in the order in which the kernel reads them.
//!
//! ```text
//! checkpoint: [out, in] row-major          packed: for each block of depth (in)
//!                                                     for each panel of columns (out)
//!                                                       depth x width values, row-major
//! ```
//! A panel is contiguous, so it streams into the first-level cache and is used for every row of a block before the
//! next one is read; no product packs anything at run time.

use std::ops::Range;

use rayon::prelude::*;

use super::{Kernels, Operand, Target};

/// Depth of a block. 16 columns of it are 24 KiB and stay in a first-level cache of 32 KiB while rows of activations
/// stream past; half of it measured up to 7 % slower, because results are loaded and stored twice as often. A multiple of every panel width, so that a depth block of one matrix is a whole number of
/// panels of the matrix before it.
pub(crate) const DEPTH_BLOCK: usize = 384;

/// A weight matrix for `y += x * w`, with `x` of `depth` and `y` of `columns` values per row.
#[derive(Debug)]
pub(crate) struct PackedMatrix {
    depth: usize,
    columns: usize,
    panel_width: usize,
    values: Vec<f32>,
}

impl PackedMatrix {
    /// Packs row-major `[columns, depth]` matrices, one under the other, as one matrix.
    ///
    /// # Panics
    ///
    /// When a part is not a whole number of rows of `depth` values; the loader checked the shapes.
    pub(crate) fn pack(kernels: Kernels, parts: &[&[f32]], depth: usize) -> Self {
        assert!(depth > 0 && parts.iter().all(|part| part.len() % depth == 0), "whole rows of {depth} values");
        let rows: Vec<&[f32]> = parts.iter().flat_map(|part| part.chunks_exact(depth)).collect();
        let (columns, panel_width) = (rows.len(), kernels.panel_width());
        let mut values = vec![0.0; depth * columns];
        values.par_chunks_mut(DEPTH_BLOCK * columns).enumerate().for_each(|(block, values)| {
            let start = block * DEPTH_BLOCK;
            let size = DEPTH_BLOCK.min(depth - start);
            values.par_chunks_mut(size * panel_width).zip(rows.par_chunks(panel_width)).for_each(|(panel, rows)| {
                let rows: Vec<&[f32]> = rows.iter().map(|row| &row[start..start + size]).collect();
                kernels.transpose(&rows, panel);
            });
        });
        Self { depth, columns, panel_width, values }
    }

    /// Values per row of the result.
    pub(crate) fn columns(&self) -> usize {
        self.columns
    }

    /// Values per row of the input.
    pub(crate) fn depth(&self) -> usize {
        self.depth
    }

    /// `c += a * w` for the whole matrix.
    pub(crate) fn multiply_add(&self, kernels: Kernels, rows: usize, a: Operand<'_>, c: Target<'_>) {
        self.multiply_add_part(kernels, rows, (0..self.depth, 0..self.columns), a, c);
    }

    /// `c += a * w[depth, columns]` for a part of the matrix: `a` holds only the values of `depth`, `c` only
    /// `columns`. Both ranges start at a multiple of [`DEPTH_BLOCK`] and end at one or at the matrix's edge.
    pub(crate) fn multiply_add_part(
        &self,
        kernels: Kernels,
        rows: usize,
        (depth, columns): (Range<usize>, Range<usize>),
        a: Operand<'_>,
        c: Target<'_>,
    ) {
        let mut start = depth.start;
        while start < depth.end {
            let size = DEPTH_BLOCK.min(self.depth - start);
            let a = Operand { values: &a.values[start - depth.start..], stride: a.stride };
            let mut column = columns.start;
            while column < columns.end {
                let width = self.panel_width.min(self.columns - column);
                let panel = start * self.columns + size * column;
                let b = Operand { values: &self.values[panel..panel + size * width], stride: width };
                let c = Target { values: &mut c.values[column - columns.start..], stride: c.stride };
                kernels.multiply_add((rows, size, width), a, b, c);
                column += width;
            }
            start += size;
        }
    }
}
