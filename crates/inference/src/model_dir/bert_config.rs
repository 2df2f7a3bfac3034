//! `config.json` of the BERT family.

use std::path::Path;

use serde::Deserialize;

use crate::kernel::Activation;

use super::json::{ConfigError, read_required};

/// Bounds that keep every product of two dimensions, and every buffer of a pass, far from overflow. Each is several
/// times the largest published model of the family.
const WIDTH_MAX: usize = 1 << 16;
const LAYERS_MAX: usize = 1 << 10;
const POSITIONS_MAX: usize = 1 << 17;
const VOCABULARY_MAX: usize = 1 << 24;
const SEGMENTS_MAX: usize = 1 << 10;

/// The encoder's shape. Every value is positive and `heads` divides `hidden_size`.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct BertConfig {
    pub(crate) vocabulary: usize,
    pub(crate) hidden_size: usize,
    pub(crate) layers: usize,
    pub(crate) heads: usize,
    pub(crate) intermediate_size: usize,
    pub(crate) activation: Activation,
    pub(crate) layer_norm_epsilon: f32,
    pub(crate) positions: usize,
    pub(crate) segments: usize,
}

/// The fields of the file that matter here; defaults are those of the original implementation.
#[derive(Debug, Deserialize)]
struct RawConfig {
    model_type: Option<String>,
    vocab_size: usize,
    hidden_size: usize,
    num_hidden_layers: usize,
    num_attention_heads: usize,
    intermediate_size: usize,
    #[serde(default = "default_activation")]
    hidden_act: String,
    #[serde(default = "default_epsilon")]
    layer_norm_eps: f64,
    max_position_embeddings: usize,
    #[serde(default = "default_segments")]
    type_vocab_size: usize,
    position_embedding_type: Option<String>,
    #[serde(default)]
    is_decoder: bool,
}

fn default_activation() -> String {
    "gelu".to_owned()
}

fn default_epsilon() -> f64 {
    1e-12
}

fn default_segments() -> usize {
    2
}

impl BertConfig {
    /// Values of one attention head.
    pub(crate) fn head_size(&self) -> usize {
        self.hidden_size / self.heads
    }

    /// Reads and checks the file.
    pub(super) fn read(path: &Path) -> Result<Self, ConfigError> {
        let raw: RawConfig = read_required(path)?;
        let refuse = |field, found: String, expected: &str| ConfigError::Value {
            path: path.to_owned(),
            field,
            found,
            expected: expected.to_owned(),
        };
        let bounded = |field, value: usize, max: usize| {
            if (1..=max).contains(&value) {
                Ok(value)
            } else {
                Err(refuse(field, value.to_string(), &format!("1 to {max}")))
            }
        };
        if let Some(kind) = raw.model_type.as_deref().filter(|kind| *kind != "bert") {
            return Err(refuse("model_type", kind.to_owned(), "bert"));
        }
        if let Some(kind) = raw.position_embedding_type.as_deref().filter(|kind| *kind != "absolute") {
            return Err(refuse("position_embedding_type", kind.to_owned(), "absolute"));
        }
        if raw.is_decoder {
            return Err(refuse("is_decoder", "true".to_owned(), "false"));
        }
        let activation = match raw.hidden_act.as_str() {
            "gelu" => Activation::Gelu,
            "gelu_new" | "gelu_pytorch_tanh" => Activation::GeluTanh,
            "relu" => Activation::Relu,
            other => return Err(refuse("hidden_act", other.to_owned(), "gelu, gelu_new, gelu_pytorch_tanh or relu")),
        };
        if !(raw.layer_norm_eps > 0.0 && raw.layer_norm_eps < 1.0) {
            return Err(refuse("layer_norm_eps", raw.layer_norm_eps.to_string(), "a number between 0 and 1"));
        }
        let hidden_size = bounded("hidden_size", raw.hidden_size, WIDTH_MAX)?;
        let heads = bounded("num_attention_heads", raw.num_attention_heads, hidden_size)?;
        if hidden_size % heads != 0 {
            return Err(refuse("num_attention_heads", heads.to_string(), &format!("a divisor of {hidden_size}")));
        }
        Ok(Self {
            vocabulary: bounded("vocab_size", raw.vocab_size, VOCABULARY_MAX)?,
            hidden_size,
            layers: bounded("num_hidden_layers", raw.num_hidden_layers, LAYERS_MAX)?,
            heads,
            intermediate_size: bounded("intermediate_size", raw.intermediate_size, WIDTH_MAX)?,
            activation,
            layer_norm_epsilon: raw.layer_norm_eps as f32,
            positions: bounded("max_position_embeddings", raw.max_position_embeddings, POSITIONS_MAX)?,
            segments: bounded("type_vocab_size", raw.type_vocab_size, SEGMENTS_MAX)?,
        })
    }
}
