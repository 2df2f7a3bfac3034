//! One transformer layer.

use candle_core::{Device, Tensor};

use super::attention::attend;
use super::linear::{Linear, TensorPair, into_candle};
use super::{CandleLoadError, Numbers};
use crate::kernel::Activation;
use crate::lora::{Active, Part};
use crate::model_dir::BertConfig;
use crate::weights::Checkpoint;

/// Dimensions of a model.
#[derive(Debug, Clone, Copy)]
pub(super) struct Shape {
    pub(super) hidden: usize,
    pub(super) heads: usize,
    pub(super) head: usize,
    pub(super) activation: Activation,
    pub(super) epsilon: f32,
}

/// Gain and shift of a LayerNorm.
#[derive(Debug)]
pub(super) struct Norm {
    gain: Tensor,
    shift: Tensor,
}

/// A layer's weights; the dense layers in the order of [`Part::ALL`].
#[derive(Debug)]
pub(super) struct Layer {
    dense: [Linear; 6],
    attention_norm: Norm,
    output_norm: Norm,
}

impl Shape {
    pub(super) fn of(config: &BertConfig) -> Self {
        Self {
            hidden: config.hidden_size,
            heads: config.heads,
            head: config.head_size(),
            activation: config.activation,
            epsilon: config.layer_norm_epsilon,
        }
    }
}

impl Norm {
    pub(super) fn load(
        checkpoint: &Checkpoint,
        name: &str,
        width: usize,
        numbers: Numbers,
        device: &Device,
    ) -> Result<Self, CandleLoadError> {
        let gain = into_candle(checkpoint.layer_norm_gain(name, width), &[width], &Device::Cpu)?;
        let shift = into_candle(checkpoint.layer_norm_shift(name, width), &[width], &Device::Cpu)?;
        let there = |tensor: Tensor| tensor.to_dtype(numbers.compute)?.to_device(device);
        Ok(Self { gain: there(gain)?, shift: there(shift)? })
    }

    pub(super) fn forward(&self, x: &Tensor, epsilon: f32) -> candle_core::Result<Tensor> {
        candle_nn::ops::layer_norm(x, &self.gain, &self.shift, epsilon)
    }

    pub(super) fn map(
        &self,
        with: &mut dyn FnMut(&Tensor) -> candle_core::Result<Tensor>,
    ) -> candle_core::Result<Self> {
        Ok(Self { gain: with(&self.gain)?, shift: with(&self.shift)? })
    }

    pub(super) fn each<'a>(&'a self, see: &mut dyn FnMut(&'a Tensor)) {
        see(&self.gain);
        see(&self.shift);
    }
}

impl Layer {
    pub(super) fn load(
        checkpoint: &Checkpoint,
        config: &BertConfig,
        numbers: Numbers,
        device: &Device,
        index: usize,
    ) -> Result<Self, CandleLoadError> {
        let name = |part: &str| format!("encoder.layer.{index}.{part}");
        let dense = |part: Part| Linear::load(checkpoint, &name(part.name()), part.shape(config), numbers, device);
        let norm = |part| Norm::load(checkpoint, &name(part), config.hidden_size, numbers, device);
        let [query, key, value, attention, widen, narrow] = Part::ALL.map(dense);
        Ok(Self {
            dense: [query?, key?, value?, attention?, widen?, narrow?],
            attention_norm: norm("attention.output.LayerNorm")?,
            output_norm: norm("output.LayerNorm")?,
        })
    }

    /// For `hidden` of `[rows, hidden]`, the rows of sequences of one length. `index` is the number of the layer.
    pub(super) fn forward(
        &self,
        hidden: &Tensor,
        rows: (usize, usize),
        shape: Shape,
        index: usize,
        adapters: &Active<TensorPair>,
    ) -> candle_core::Result<Tensor> {
        let [query, key, value, attention, widen, narrow] = &self.dense;
        let apply = |dense: &Linear, part, x: &Tensor| dense.forward(x, adapters.at(index, part));
        let projected =
            [apply(query, Part::Query, hidden)?, apply(key, Part::Key, hidden)?, apply(value, Part::Value, hidden)?];
        let context = attend(shape, rows, projected)?;
        let attended = (apply(attention, Part::AttentionOutput, &context)? + hidden)?;
        let attended = self.attention_norm.forward(&attended, shape.epsilon)?;
        let wide = activate(shape.activation, &apply(widen, Part::Widen, &attended)?)?;
        let output = (apply(narrow, Part::Narrow, &wide)? + &attended)?;
        self.output_norm.forward(&output, shape.epsilon)
    }

    pub(super) fn map(
        &self,
        with: &mut dyn FnMut(&Tensor) -> candle_core::Result<Tensor>,
    ) -> candle_core::Result<Self> {
        let mut dense = self.dense.iter().map(|dense| dense.map(with)).collect::<candle_core::Result<Vec<_>>>()?;
        dense.reverse();
        let mut next = || dense.pop().ok_or_else(|| candle_core::Error::msg("a dense layer is missing"));
        Ok(Self {
            dense: [next()?, next()?, next()?, next()?, next()?, next()?],
            attention_norm: self.attention_norm.map(with)?,
            output_norm: self.output_norm.map(with)?,
        })
    }

    pub(super) fn each<'a>(&'a self, see: &mut dyn FnMut(&'a Tensor)) {
        self.dense.iter().for_each(|dense| dense.each(see));
        self.attention_norm.each(see);
        self.output_norm.each(see);
    }
}

fn activate(activation: Activation, x: &Tensor) -> candle_core::Result<Tensor> {
    match activation {
        Activation::Gelu => x.gelu_erf(),
        Activation::GeluTanh => x.gelu(),
        Activation::Relu => x.relu(),
    }
}
