//! Adapters of an encoder: low-rank changes of its dense layers, `y += scale * up(down(x))`, that are laid over it for
//! one call. Owns the values that were read; who computes with them prepares them in its own form.

mod attachments;
mod names;
mod read;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

pub(crate) use attachments::Attachments;
pub(crate) use read::read;

use crate::model_dir::BertConfig;

/// Why an adapter cannot be laid over a model. Each names the file and what was expected in it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LoraError {
    /// The file cannot be read.
    #[error("cannot read adapter {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The file is damaged or none of safetensors.
    #[error("{} is not a complete safetensors file", path.display())]
    Header {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: safetensors::SafeTensorError,
    },
    /// A tensor changes something that the model has not.
    #[error("tensor {tensor:?} in {} changes nothing in this model", path.display())]
    NoSuchPart {
        /// The file.
        path: PathBuf,
        /// The tensor.
        tensor: String,
    },
    /// A tensor has no counterpart, or the two do not fit each other or the model.
    #[error("the adapter of {part} in {} does not fit: {detail}", path.display())]
    Shape {
        /// The file.
        path: PathBuf,
        /// The dense layer.
        part: String,
        /// What is wrong.
        detail: String,
    },
    /// A tensor has a type that is not a supported float.
    #[error("tensor {tensor:?} in {} has type {found}, expected F32, F16 or BF16", path.display())]
    Dtype {
        /// The file.
        path: PathBuf,
        /// The tensor.
        tensor: String,
        /// The type by the file.
        found: String,
    },
    /// More adapters than may be attached at once.
    #[error(transparent)]
    Attach(#[from] gen_worker_core::lora_overlays::LoraError),
}

/// A dense layer that an adapter can change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Target {
    pub(crate) layer: usize,
    pub(crate) part: Part,
}

/// The dense layers of a transformer layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Part {
    Query,
    Key,
    Value,
    AttentionOutput,
    Widen,
    Narrow,
}

/// What an adapter changes in one dense layer.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct LowRank {
    pub(crate) rank: usize,
    /// `[rank, input]`, row-major.
    pub(crate) down: Vec<f32>,
    /// `[output, rank]`, row-major.
    pub(crate) up: Vec<f32>,
    /// What the product counts before the weight of the request.
    pub(crate) scale: f32,
}

/// An adapter as it was read.
#[derive(Debug)]
pub(crate) struct Adapter {
    pub(crate) pairs: BTreeMap<Target, LowRank>,
}

/// An adapter in the form `P` of an encoder.
pub(crate) type Prepared<P> = BTreeMap<Target, P>;

/// The adapters of one call, each with its weight.
#[derive(Debug)]
pub(crate) struct Active<P>(pub(crate) Vec<(Arc<Prepared<P>>, f32)>);

impl Part {
    pub(crate) const ALL: [Self; 6] =
        [Self::Query, Self::Key, Self::Value, Self::AttentionOutput, Self::Widen, Self::Narrow];

    /// Its name within a layer.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Query => "attention.self.query",
            Self::Key => "attention.self.key",
            Self::Value => "attention.self.value",
            Self::AttentionOutput => "attention.output.dense",
            Self::Widen => "intermediate.dense",
            Self::Narrow => "output.dense",
        }
    }

    /// Values per row of its input and of its output.
    pub(crate) fn shape(self, config: &BertConfig) -> (usize, usize) {
        let (hidden, wide) = (config.hidden_size, config.intermediate_size);
        match self {
            Self::Widen => (hidden, wide),
            Self::Narrow => (wide, hidden),
            _ => (hidden, hidden),
        }
    }
}

impl Adapter {
    /// What it takes in memory.
    pub(crate) fn bytes(&self) -> u64 {
        let values = self.pairs.values().map(|pair| pair.down.len() + pair.up.len());
        values.fold(0, |sum, values| sum.saturating_add(values as u64 * size_of::<f32>() as u64))
    }
}

impl<P> Active<P> {
    /// What is laid over `part` of `layer`, with the weights of the call.
    pub(crate) fn at(&self, layer: usize, part: Part) -> impl Iterator<Item = (&P, f32)> {
        let target = Target { layer, part };
        self.0.iter().filter_map(move |(prepared, weight)| Some((prepared.get(&target)?, *weight)))
    }
}

#[cfg(test)]
mod tests;
