//! Candle's BERT: the implementation the fused encoder is tested against, and what runs a model it does not take.
//!
//! Sequences of one length run together, so nothing is padded and no mask is needed.

use std::collections::{BTreeMap, HashMap};

use candle_core::{DType, Device, Tensor as CandleTensor};
use candle_nn::VarBuilder;
use candle_transformers::models::bert::{BertModel, Config, HiddenAct, PositionEmbeddingType};

use crate::encoder::Canceled;
use crate::kernel::Activation;
use crate::model_dir::BertConfig;
use crate::packing::PackedBatch;
use crate::weights::{Checkpoint, Tensor, WeightsError};

/// Most sequences of one forward call. Candle keeps about ten copies of the activations alive, so calls are small.
const SEQUENCES_MAX: usize = 32;

/// A model loaded into Candle.
pub(crate) struct ReferenceEncoder {
    model: BertModel,
    hidden: usize,
}

impl std::fmt::Debug for ReferenceEncoder {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("ReferenceEncoder").field("hidden", &self.hidden).finish_non_exhaustive()
    }
}

/// Why a model could not be loaded into Candle.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReferenceError {
    /// A tensor is missing or wrong.
    #[error(transparent)]
    Weights(#[from] WeightsError),
    /// Candle refused.
    #[error("candle cannot build the model: {0}")]
    Candle(String),
}

/// Why Candle stopped in the middle of a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum RunError {
    Canceled,
    Candle(String),
}

impl From<Canceled> for RunError {
    fn from(Canceled: Canceled) -> Self {
        Self::Canceled
    }
}

impl From<candle_core::Error> for RunError {
    fn from(error: candle_core::Error) -> Self {
        Self::Candle(error.to_string())
    }
}

impl ReferenceEncoder {
    /// Reads all weights into memory of Candle.
    ///
    /// # Errors
    ///
    /// When a tensor is missing or differs from what `config` says, or Candle refuses.
    pub(crate) fn load(checkpoint: &Checkpoint, config: &BertConfig) -> Result<Self, ReferenceError> {
        let tensors = collect(checkpoint, config)?;
        let candle = |error: candle_core::Error| ReferenceError::Candle(error.to_string());
        let tensors = tensors
            .into_iter()
            .map(|(name, shape, tensor)| Ok((name, CandleTensor::from_slice(tensor.values(), shape, &Device::Cpu)?)))
            .collect::<candle_core::Result<HashMap<_, _>>>()
            .map_err(candle)?;
        let builder = VarBuilder::from_tensors(tensors, DType::F32, &Device::Cpu);
        let model = BertModel::load(builder, &candle_config(config)).map_err(candle)?;
        Ok(Self { model, hidden: config.hidden_size })
    }

    /// Runs the batch and writes one vector per row to `hidden`.
    ///
    /// # Errors
    ///
    /// When `canceled` returned true before a call, or Candle failed.
    pub(crate) fn run(
        &self,
        batch: &PackedBatch,
        hidden: &mut Vec<f32>,
        canceled: &(dyn Fn() -> bool + Sync),
    ) -> Result<(), RunError> {
        hidden.clear();
        hidden.resize(batch.rows() * self.hidden, 0.0);
        let mut by_length: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        for index in 0..batch.sequences() {
            by_length.entry(batch.sequence(index).len()).or_default().push(index);
        }
        by_length.remove(&0);
        for (length, sequences) in by_length {
            for group in sequences.chunks(SEQUENCES_MAX) {
                if canceled() {
                    return Err(Canceled.into());
                }
                let vectors = self.forward(batch, group, length)?;
                for (sequence, vectors) in group.iter().zip(vectors.chunks_exact(length * self.hidden)) {
                    let rows = batch.sequence(*sequence);
                    hidden[rows.start * self.hidden..rows.end * self.hidden].copy_from_slice(vectors);
                }
            }
        }
        Ok(())
    }

    fn forward(&self, batch: &PackedBatch, group: &[usize], length: usize) -> candle_core::Result<Vec<f32>> {
        let tokens = || group.iter().flat_map(|sequence| batch.tokens(batch.sequence(*sequence)));
        let tensor = |values: Vec<u32>| CandleTensor::from_vec(values, (group.len(), length), &Device::Cpu);
        let ids = tensor(tokens().map(|(id, _, _)| id).collect())?;
        let segments = tensor(tokens().map(|(_, segment, _)| segment).collect())?;
        self.model.forward(&ids, &segments, None)?.flatten_all()?.to_vec1()
    }
}

/// Every tensor of the model with the name and shape Candle asks for.
fn collect(checkpoint: &Checkpoint, config: &BertConfig) -> Result<Vec<(String, Vec<usize>, Tensor)>, WeightsError> {
    let (hidden, wide) = (config.hidden_size, config.intermediate_size);
    let mut tensors = Vec::new();
    let mut table = |name: &str, rows: usize| -> Result<(), WeightsError> {
        let shape = vec![rows, hidden];
        tensors.push((name.to_owned(), shape.clone(), checkpoint.tensor(name, &shape)?));
        Ok(())
    };
    table("embeddings.word_embeddings.weight", config.vocabulary)?;
    table("embeddings.position_embeddings.weight", config.positions)?;
    table("embeddings.token_type_embeddings.weight", config.segments)?;
    let mut norms = vec!["embeddings.LayerNorm".to_owned()];
    for index in 0..config.layers {
        let name = |part: &str| format!("encoder.layer.{index}.{part}");
        norms.extend(["attention.output.LayerNorm", "output.LayerNorm"].map(name));
        let square = ["attention.self.query", "attention.self.key", "attention.self.value", "attention.output.dense"];
        let square = square.map(|part| (part, hidden, hidden));
        for (part, rows, columns) in
            square.into_iter().chain([("intermediate.dense", wide, hidden), ("output.dense", hidden, wide)])
        {
            for (suffix, shape) in [("weight", vec![rows, columns]), ("bias", vec![rows])] {
                let name = name(&format!("{part}.{suffix}"));
                let tensor = checkpoint.tensor(&name, &shape)?;
                tensors.push((name, shape, tensor));
            }
        }
    }
    for name in norms {
        tensors.push((format!("{name}.weight"), vec![hidden], checkpoint.layer_norm_gain(&name, hidden)?));
        tensors.push((format!("{name}.bias"), vec![hidden], checkpoint.layer_norm_shift(&name, hidden)?));
    }
    Ok(tensors)
}

fn candle_config(config: &BertConfig) -> Config {
    Config {
        vocab_size: config.vocabulary,
        hidden_size: config.hidden_size,
        num_hidden_layers: config.layers,
        num_attention_heads: config.heads,
        intermediate_size: config.intermediate_size,
        hidden_act: match config.activation {
            Activation::Gelu => HiddenAct::Gelu,
            Activation::GeluTanh => HiddenAct::GeluApproximate,
            Activation::Relu => HiddenAct::Relu,
        },
        max_position_embeddings: config.positions,
        type_vocab_size: config.segments,
        layer_norm_eps: f64::from(config.layer_norm_epsilon),
        position_embedding_type: PositionEmbeddingType::Absolute,
        ..Config::default()
    }
}
