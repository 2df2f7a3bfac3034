//! One transformer layer over one block of rows.

use std::ops::Range;

use crate::kernel::{DEPTH_BLOCK, Kernels, Operand, PackedMatrix, Target};
use crate::lora::Part;
use crate::model_dir::BertConfig;
use crate::weights::{Checkpoint, Tensor, WeightsError};

use super::Shape;
use super::attention::{self, Projected};
use super::overlay::Overlays;
use super::workspace::{Scratch, space};

/// Weights of a dense layer.
#[derive(Debug)]
struct Dense {
    weight: PackedMatrix,
    bias: Vec<f32>,
}

/// Gain and shift of a LayerNorm.
#[derive(Debug)]
struct Norm {
    gain: Tensor,
    shift: Tensor,
}

/// Weights of one layer, packed.
#[derive(Debug)]
pub(super) struct Layer {
    projections: Dense,
    output: Dense,
    output_norm: Norm,
    widen: Dense,
    narrow: Dense,
    narrow_norm: Norm,
}

impl Dense {
    /// Reads `names` (each with `.weight` and `.bias`) as one layer with their outputs side by side.
    fn load(
        checkpoint: &Checkpoint,
        kernels: Kernels,
        names: &[String],
        (depth, columns): (usize, usize),
    ) -> Result<Self, WeightsError> {
        let mut weights = Vec::with_capacity(names.len());
        let mut bias = Vec::with_capacity(names.len() * columns);
        for name in names {
            weights.push(checkpoint.tensor(&format!("{name}.weight"), &[columns, depth])?);
            bias.extend_from_slice(checkpoint.tensor(&format!("{name}.bias"), &[columns])?.values());
        }
        let parts: Vec<&[f32]> = weights.iter().map(Tensor::values).collect();
        Ok(Self { weight: PackedMatrix::pack(kernels, &parts, depth), bias })
    }

    /// `out = x * w + bias`.
    fn apply(&self, kernels: Kernels, x: &[f32], out: &mut [f32]) {
        let (depth, columns) = (self.weight.depth(), self.weight.columns());
        out.chunks_exact_mut(columns).for_each(|row| row.copy_from_slice(&self.bias));
        let rows = out.len() / columns;
        let target = Target { values: out, stride: columns };
        self.weight.multiply_add(kernels, rows, Operand { values: x, stride: depth }, target);
    }

    /// `out += x * w + bias`: `out` holds the residual.
    fn apply_to_residual(&self, kernels: Kernels, x: &[f32], out: &mut [f32]) {
        let (depth, columns) = (self.weight.depth(), self.weight.columns());
        self.add_bias(out);
        let rows = out.len() / columns;
        let target = Target { values: out, stride: columns };
        self.weight.multiply_add(kernels, rows, Operand { values: x, stride: depth }, target);
    }

    fn add_bias(&self, out: &mut [f32]) {
        for row in out.chunks_exact_mut(self.bias.len()) {
            row.iter_mut().zip(&self.bias).for_each(|(value, bias)| *value += bias);
        }
    }
}

impl Norm {
    fn load(checkpoint: &Checkpoint, name: &str, width: usize) -> Result<Self, WeightsError> {
        Ok(Self { gain: checkpoint.layer_norm_gain(name, width)?, shift: checkpoint.layer_norm_shift(name, width)? })
    }

    fn apply(&self, kernels: Kernels, shape: Shape, rows: &mut [f32]) {
        kernels.layer_norm(rows, self.gain.values(), self.shift.values(), shape.epsilon);
    }
}

impl Layer {
    /// Reads and packs the weights of layer `index`.
    pub(super) fn load(
        checkpoint: &Checkpoint,
        config: &BertConfig,
        kernels: Kernels,
        index: usize,
    ) -> Result<Self, WeightsError> {
        let (hidden, intermediate) = (config.hidden_size, config.intermediate_size);
        let name = |part: &str| format!("encoder.layer.{index}.{part}");
        let projections = ["query", "key", "value"].map(|part| name(&format!("attention.self.{part}")));
        Ok(Self {
            projections: Dense::load(checkpoint, kernels, &projections, (hidden, hidden))?,
            output: Dense::load(checkpoint, kernels, &[name("attention.output.dense")], (hidden, hidden))?,
            output_norm: Norm::load(checkpoint, &name("attention.output.LayerNorm"), hidden)?,
            widen: Dense::load(checkpoint, kernels, &[name("intermediate.dense")], (hidden, intermediate))?,
            narrow: Dense::load(checkpoint, kernels, &[name("output.dense")], (intermediate, hidden))?,
            narrow_norm: Norm::load(checkpoint, &name("output.LayerNorm"), hidden)?,
        })
    }

    /// How many numbers its matrices have.
    pub(super) fn values(&self) -> usize {
        let dense = [&self.projections, &self.output, &self.widen, &self.narrow];
        dense.map(|dense| dense.weight.depth() * dense.weight.columns()).iter().sum()
    }

    /// Query, key and value of each row of `hidden`, and the keys once more transposed.
    pub(super) fn project(
        &self,
        shape: Shape,
        overlays: Overlays<'_>,
        hidden: &[f32],
        projected: &mut [f32],
        keys: &mut [f32],
    ) {
        let kernels = overlays.kernels;
        self.projections.apply(kernels, hidden, projected);
        let x = Operand { values: hidden, stride: shape.hidden };
        for (at, part) in [Part::Query, Part::Key, Part::Value].into_iter().enumerate() {
            overlays.add(part, x, &mut projected[at * shape.hidden..], 3 * shape.hidden);
        }
        let rows = projected.chunks_exact(3 * shape.hidden);
        let rows: Vec<&[f32]> = rows.map(|row| &row[shape.hidden..2 * shape.hidden]).collect();
        kernels.transpose(&rows, keys);
    }

    /// Everything after the projections, for the rows of one block; `hidden` is replaced.
    pub(super) fn finish(
        &self,
        shape: Shape,
        overlays: Overlays<'_>,
        projected: Projected<'_>,
        rows: Range<usize>,
        hidden: &mut [f32],
        scratch: &mut Scratch,
    ) {
        let kernels = overlays.kernels;
        attention::attend(kernels, shape, projected, rows, scratch);
        let context = &scratch.context[..hidden.len()];
        self.output.apply_to_residual(kernels, context, hidden);
        let x = Operand { values: context, stride: shape.hidden };
        overlays.add(Part::AttentionOutput, x, hidden, shape.hidden);
        self.output_norm.apply(kernels, shape, hidden);
        self.feed_forward(shape, overlays, hidden, scratch);
    }

    /// The feed-forward block, a slice of intermediate values at a time: each is computed, activated and multiplied
    /// on while it is in the cache, and the whole intermediate row never exists.
    fn feed_forward(&self, shape: Shape, overlays: Overlays<'_>, hidden: &mut [f32], scratch: &mut Scratch) {
        let kernels = overlays.kernels;
        let rows = hidden.len() / shape.hidden;
        let output = space(&mut scratch.output, hidden.len());
        output.copy_from_slice(hidden);
        self.narrow.add_bias(output);
        let width = self.widen.weight.columns();
        let widened = overlays.narrowed(Part::Widen, Operand { values: hidden, stride: shape.hidden });
        let mut narrowed = overlays.empty(Part::Narrow);
        for start in (0..width).step_by(DEPTH_BLOCK) {
            let slice = start..(start + DEPTH_BLOCK).min(width);
            let size = slice.len();
            let values = space(&mut scratch.intermediate, rows * size);
            let bias = &self.widen.bias[slice.clone()];
            values.chunks_exact_mut(size).for_each(|row| row.copy_from_slice(bias));
            let x = Operand { values: hidden, stride: shape.hidden };
            let target = Target { values: &mut *values, stride: size };
            self.widen.weight.multiply_add_part(kernels, rows, (0..shape.hidden, slice.clone()), x, target);
            overlays.spread(Part::Widen, &widened, slice.clone(), values);
            kernels.activate(shape.activation, values);
            let x = Operand { values, stride: size };
            overlays.gather(Part::Narrow, x, slice.clone(), &mut narrowed);
            let target = Target { values: &mut *output, stride: shape.hidden };
            self.narrow.weight.multiply_add_part(kernels, rows, (slice, 0..shape.hidden), x, target);
        }
        overlays.weigh(Part::Narrow, &mut narrowed);
        overlays.spread(Part::Narrow, &narrowed, 0..shape.hidden, output);
        self.narrow_norm.apply(kernels, shape, output);
        hidden.copy_from_slice(output);
    }
}
