//! A complete model directory with random weights.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use half::{bf16, f16};
use safetensors::Dtype;
use safetensors::tensor::TensorView;
use serde_json::{Value, json};
use tempfile::TempDir;

/// Words of the vocabulary besides the four special tokens: `w0`, `w1`, ...
pub const WORDS: usize = 40;

/// What to write.
#[derive(Debug, Clone)]
pub struct TinyModel {
    pub head_size: usize,
    pub heads: usize,
    pub layers: usize,
    pub intermediate: usize,
    pub positions: usize,
    pub activation: &'static str,
    pub pooling: &'static str,
    pub normalize: bool,
    pub prefix: &'static str,
    pub dtype: Dtype,
    pub seed: u64,
}

impl Default for TinyModel {
    fn default() -> Self {
        Self {
            head_size: 8,
            heads: 2,
            layers: 2,
            intermediate: 24,
            positions: 32,
            activation: "gelu",
            pooling: "mean",
            normalize: true,
            prefix: "",
            dtype: Dtype::F32,
            seed: 1,
        }
    }
}

/// Tensors by name: shape and values.
pub type Tensors = BTreeMap<String, (Vec<usize>, Vec<f32>)>;

impl TinyModel {
    pub fn hidden(&self) -> usize {
        self.head_size * self.heads
    }

    /// Writes the directory; it lives as long as the value returned.
    pub fn write(&self) -> TempDir {
        let dir = tempfile::tempdir().unwrap();
        write_json(dir.path(), "config.json", &self.config());
        write_json(dir.path(), "tokenizer.json", &tokenizer());
        write_json(
            dir.path(),
            "sentence_bert_config.json",
            &json!({"max_seq_length": self.positions, "do_lower_case": false}),
        );
        let mut modules = vec![module("", "Transformer"), module("1_Pooling", "Pooling")];
        if self.normalize {
            modules.push(module("2_Normalize", "Normalize"));
        }
        write_json(dir.path(), "modules.json", &Value::Array(modules));
        fs::create_dir(dir.path().join("1_Pooling")).unwrap();
        let modes = ["cls_token", "mean_tokens", "max_tokens", "mean_sqrt_len_tokens"];
        let switches = modes.map(|mode| {
            (
                format!("pooling_mode_{mode}"),
                json!(
                    mode.trim_end_matches("_token").trim_end_matches("_tokens") == self.pooling || mode == self.pooling
                ),
            )
        });
        write_json(dir.path(), "1_Pooling/config.json", &Value::Object(switches.into_iter().collect()));
        self.write_weights(dir.path(), &self.tensors());
        dir
    }

    pub fn config(&self) -> Value {
        json!({
            "model_type": "bert",
            "vocab_size": WORDS + 4,
            "hidden_size": self.hidden(),
            "num_hidden_layers": self.layers,
            "num_attention_heads": self.heads,
            "intermediate_size": self.intermediate,
            "hidden_act": self.activation,
            "layer_norm_eps": 1e-12,
            "max_position_embeddings": self.positions,
            "type_vocab_size": 2,
        })
    }

    pub fn tensors(&self) -> Tensors {
        let (hidden, wide) = (self.hidden(), self.intermediate);
        let mut shapes: Vec<(String, Vec<usize>)> = vec![
            ("embeddings.word_embeddings.weight".into(), vec![WORDS + 4, hidden]),
            ("embeddings.position_embeddings.weight".into(), vec![self.positions, hidden]),
            ("embeddings.token_type_embeddings.weight".into(), vec![2, hidden]),
        ];
        let mut vectors = |name: String, width| {
            shapes.push((format!("{name}.weight"), vec![width]));
            shapes.push((format!("{name}.bias"), vec![width]));
        };
        vectors("embeddings.LayerNorm".into(), hidden);
        for layer in 0..self.layers {
            vectors(format!("encoder.layer.{layer}.attention.output.LayerNorm"), hidden);
            vectors(format!("encoder.layer.{layer}.output.LayerNorm"), hidden);
        }
        for layer in 0..self.layers {
            for (part, rows, columns) in [
                ("attention.self.query", hidden, hidden),
                ("attention.self.key", hidden, hidden),
                ("attention.self.value", hidden, hidden),
                ("attention.output.dense", hidden, hidden),
                ("intermediate.dense", wide, hidden),
                ("output.dense", hidden, wide),
            ] {
                shapes.push((format!("encoder.layer.{layer}.{part}.weight"), vec![rows, columns]));
                shapes.push((format!("encoder.layer.{layer}.{part}.bias"), vec![rows]));
            }
        }
        let mut random = Random(self.seed);
        shapes
            .into_iter()
            .map(|(name, shape)| {
                let gain = name.ends_with("LayerNorm.weight");
                let scale = if shape.len() == 2 { 1.0 / (shape[1] as f32).sqrt() } else { 0.2 };
                let count = shape.iter().product();
                let values = (0..count).map(|_| random.next() * scale + if gain { 1.0 } else { 0.0 }).collect();
                (format!("{}{name}", self.prefix), (shape, values))
            })
            .collect()
    }

    pub fn write_weights(&self, dir: &Path, tensors: &Tensors) {
        let bytes: Vec<(&String, &Vec<usize>, Vec<u8>)> = tensors
            .iter()
            .map(|(name, (shape, values))| (name, shape, values.iter().flat_map(|value| self.encode(*value)).collect()))
            .collect();
        let views = bytes
            .iter()
            .map(|(name, shape, bytes)| (*name, TensorView::new(self.dtype, (*shape).clone(), bytes).unwrap()));
        fs::write(weights(dir), safetensors::serialize(views, None).unwrap()).unwrap();
    }

    fn encode(&self, value: f32) -> Vec<u8> {
        match self.dtype {
            Dtype::F16 => f16::from_f32(value).to_le_bytes().to_vec(),
            Dtype::BF16 => bf16::from_f32(value).to_le_bytes().to_vec(),
            Dtype::F8_E4M3 => vec![float8::F8E4M3::from_f32(value).to_bits()],
            Dtype::F64 => f64::from(value).to_le_bytes().to_vec(),
            _ => value.to_le_bytes().to_vec(),
        }
    }
}

pub fn weights(dir: &Path) -> PathBuf {
    dir.join("model.safetensors")
}

pub fn write_json(dir: &Path, name: &str, value: &Value) {
    fs::write(dir.join(name), value.to_string()).unwrap();
}

fn module(path: &str, kind: &str) -> Value {
    json!({"idx": 0, "name": "0", "path": path, "type": format!("sentence_transformers.models.{kind}")})
}

/// A WordPiece tokenizer with the usual special tokens, and a padding and truncation that have to be ignored.
fn tokenizer() -> Value {
    let special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"];
    let words = special.iter().map(ToString::to_string).chain((0..WORDS).map(|index| format!("w{index}")));
    let vocabulary: serde_json::Map<String, Value> = words.enumerate().map(|(id, word)| (word, json!(id))).collect();
    let token = |name: &str| json!({"SpecialToken": {"id": name, "type_id": 0}});
    json!({
        "version": "1.0",
        "truncation": {"max_length": 5, "strategy": "LongestFirst", "stride": 0, "direction": "Right"},
        "padding": {"strategy": {"Fixed": 9}, "direction": "Right", "pad_to_multiple_of": null, "pad_id": 0, "pad_type_id": 0, "pad_token": "[PAD]"},
        "added_tokens": special.iter().enumerate().map(|(id, content)| json!({
            "id": id, "content": content, "single_word": false, "lstrip": false, "rstrip": false, "normalized": false, "special": true,
        })).collect::<Vec<_>>(),
        "normalizer": {"type": "BertNormalizer", "clean_text": true, "handle_chinese_chars": true, "strip_accents": null, "lowercase": true},
        "pre_tokenizer": {"type": "BertPreTokenizer"},
        "post_processor": {
            "type": "TemplateProcessing",
            "single": [token("[CLS]"), {"Sequence": {"id": "A", "type_id": 0}}, token("[SEP]")],
            "pair": [token("[CLS]"), {"Sequence": {"id": "A", "type_id": 0}}, token("[SEP]"), {"Sequence": {"id": "B", "type_id": 1}}],
            "special_tokens": {
                "[CLS]": {"id": "[CLS]", "ids": [2], "tokens": ["[CLS]"]},
                "[SEP]": {"id": "[SEP]", "ids": [3], "tokens": ["[SEP]"]},
            },
        },
        "decoder": null,
        "model": {"type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##", "max_input_chars_per_word": 100, "vocab": vocabulary},
    })
}

/// Values in -1..1.
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> f32 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((self.0 >> 40) as f32 / (1_u64 << 23) as f32) - 1.0
    }
}

/// A text of `words` words, so of `words + 2` tokens.
pub fn text(words: usize, seed: usize) -> String {
    (0..words).map(|index| format!("w{}", (seed * 31 + index * 7) % WORDS)).collect::<Vec<_>>().join(" ")
}
