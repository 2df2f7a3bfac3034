//! Dense layers, with what adapters lay over them.

use candle_core::{D, Device, Tensor};

use super::Numbers;
use crate::candle::CandleLoadError;
use crate::lora::LowRank;
use crate::weights::{Checkpoint, WeightsError};

/// Reads the tensor `name` of this shape.
pub(super) fn tensor(
    checkpoint: &Checkpoint,
    name: &str,
    shape: &[usize],
    device: &Device,
) -> Result<Tensor, CandleLoadError> {
    into_candle(checkpoint.tensor(name, shape), shape, device)
}

/// A tensor of a checkpoint as one of Candle.
pub(super) fn into_candle(
    read: Result<crate::weights::Tensor, WeightsError>,
    shape: &[usize],
    device: &Device,
) -> Result<Tensor, CandleLoadError> {
    Ok(Tensor::from_slice(read?.values(), shape, device)?)
}

/// `y = x * w + b`.
#[derive(Debug)]
pub(super) struct Linear {
    /// `[output, input]`, in the type it is kept in.
    weight: Tensor,
    bias: Tensor,
}

/// What an adapter lays over a dense layer.
#[derive(Debug)]
pub(crate) struct TensorPair {
    /// `[input, rank]`
    down: Tensor,
    /// `[rank, output]`
    up: Tensor,
    scale: f32,
}

impl Linear {
    pub(super) fn load(
        checkpoint: &Checkpoint,
        name: &str,
        (input, output): (usize, usize),
        numbers: Numbers,
        device: &Device,
    ) -> Result<Self, CandleLoadError> {
        // Narrowed before it goes to the device: the wide form never takes room there.
        let weight = tensor(checkpoint, &format!("{name}.weight"), &[output, input], &Device::Cpu)?;
        let bias = tensor(checkpoint, &format!("{name}.bias"), &[output], &Device::Cpu)?;
        Ok(Self {
            weight: weight.to_dtype(numbers.kept)?.to_device(device)?,
            bias: bias.to_dtype(numbers.compute)?.to_device(device)?,
        })
    }

    /// For `x` of `[rows, input]`.
    pub(super) fn forward<'a>(
        &self,
        x: &Tensor,
        adapters: impl Iterator<Item = (&'a TensorPair, f32)>,
    ) -> candle_core::Result<Tensor> {
        let weight = self.weight.to_dtype(x.dtype())?;
        let mut y = x.matmul(&weight.t()?)?.broadcast_add(&self.bias)?;
        for (pair, weight) in adapters {
            let change = x.matmul(&pair.down)?.matmul(&pair.up)?;
            y = (y + (change * f64::from(pair.scale * weight))?)?;
        }
        Ok(y)
    }

    pub(super) fn map(
        &self,
        with: &mut dyn FnMut(&Tensor) -> candle_core::Result<Tensor>,
    ) -> candle_core::Result<Self> {
        Ok(Self { weight: with(&self.weight)?, bias: with(&self.bias)? })
    }

    pub(super) fn each<'a>(&'a self, see: &mut dyn FnMut(&'a Tensor)) {
        see(&self.weight);
        see(&self.bias);
    }
}

impl TensorPair {
    pub(super) fn new(pair: &LowRank, numbers: Numbers, device: &Device) -> candle_core::Result<Self> {
        let (input, output) = (pair.down.len() / pair.rank, pair.up.len() / pair.rank);
        let matrix = |values: &[f32], shape: (usize, usize)| {
            let rows = Tensor::from_slice(values, shape, &Device::Cpu)?;
            rows.transpose(D::Minus2, D::Minus1)?.contiguous()?.to_dtype(numbers.compute)?.to_device(device)
        };
        Ok(Self {
            down: matrix(&pair.down, (pair.rank, input))?,
            up: matrix(&pair.up, (output, pair.rank))?,
            scale: pair.scale,
        })
    }
}
