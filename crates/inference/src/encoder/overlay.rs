//! What adapters lay over the dense layers of the fused encoder: two thin products that go into the accumulators of the
//! wide one. Without adapters nothing of it runs.

use std::ops::Range;

use crate::kernel::{Kernels, Operand, PackedMatrix, Target};
use crate::lora::{Active, LowRank, Part};

/// What an adapter lays over one dense layer, packed.
#[derive(Debug)]
pub(crate) struct PackedPair {
    down: PackedMatrix,
    up: PackedMatrix,
    scale: f32,
}

/// The adapters of one call at one layer, for a block of rows.
#[derive(Debug, Clone, Copy)]
pub(super) struct Overlays<'a> {
    pub(super) kernels: Kernels,
    pub(super) active: &'a Active<PackedPair>,
    pub(super) layer: usize,
    pub(super) rows: usize,
}

/// What one dense layer's adapters make of a block of rows: as many values per row as each has ranks.
pub(super) type Thin = Vec<Vec<f32>>;

impl PackedPair {
    pub(crate) fn new(pair: &LowRank, kernels: Kernels) -> Self {
        Self {
            down: PackedMatrix::pack(kernels, &[&pair.down], pair.down.len() / pair.rank),
            up: PackedMatrix::pack(kernels, &[&pair.up], pair.rank),
            scale: pair.scale,
        }
    }
}

impl Overlays<'_> {
    /// Adds what is laid over `part` for the rows of `x` to the columns of `out` that begin its rows, `stride` apart.
    pub(super) fn add(self, part: Part, x: Operand<'_>, out: &mut [f32], stride: usize) {
        let thin = self.narrowed(part, x);
        for ((pair, _), thin) in self.active.at(self.layer, part).zip(&thin) {
            let x = Operand { values: thin, stride: pair.down.columns() };
            pair.up.multiply_add(self.kernels, self.rows, x, Target { values: &mut *out, stride });
        }
    }

    /// The first of the two products, whole.
    pub(super) fn narrowed(self, part: Part, x: Operand<'_>) -> Thin {
        let mut thin = self.empty(part);
        self.gather(part, x, 0..usize::MAX, &mut thin);
        self.weigh(part, &mut thin);
        thin
    }

    /// Nothing gathered yet.
    pub(super) fn empty(self, part: Part) -> Thin {
        self.active.at(self.layer, part).map(|(pair, _)| vec![0.0; self.rows * pair.down.columns()]).collect()
    }

    /// Adds the first product for a slice of the input, of which `x` holds the values.
    pub(super) fn gather(self, part: Part, x: Operand<'_>, slice: Range<usize>, thin: &mut Thin) {
        for ((pair, _), thin) in self.active.at(self.layer, part).zip(thin) {
            let rank = pair.down.columns();
            let slice = slice.start..slice.end.min(pair.down.depth());
            let target = Target { values: thin, stride: rank };
            pair.down.multiply_add_part(self.kernels, self.rows, (slice, 0..rank), x, target);
        }
    }

    /// Ends a gathering.
    pub(super) fn weigh(self, part: Part, thin: &mut Thin) {
        for ((pair, weight), thin) in self.active.at(self.layer, part).zip(thin) {
            thin.iter_mut().for_each(|value| *value *= pair.scale * weight);
        }
    }

    /// Adds the second product for a slice of the output, which is all that `out` has.
    pub(super) fn spread(self, part: Part, thin: &Thin, slice: Range<usize>, out: &mut [f32]) {
        for ((pair, _), thin) in self.active.at(self.layer, part).zip(thin) {
            let x = Operand { values: thin, stride: pair.down.columns() };
            let target = Target { values: &mut *out, stride: slice.len() };
            let part = (0..pair.up.depth(), slice.clone());
            pair.up.multiply_add_part(self.kernels, self.rows, part, x, target);
        }
    }
}
