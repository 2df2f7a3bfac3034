//! Both encoders give what Candle's own BERT gives: an implementation that we did not write.

use std::collections::HashMap;

use candle_core::{DType, Device, Tensor};
use candle_nn::VarBuilder;
use candle_transformers::models::bert::{BertModel, Config};
use gen_worker_inference::{BackendRequest, EmbedderOptions, SentenceEmbedder};

use crate::tiny_model::{TinyModel, text};

/// Largest difference between two components of vectors of length 1.
const TOLERANCE: f32 = 1e-5;

/// Ids of a text of the tiny tokenizer: four special tokens come before the words.
fn ids(text: &str) -> Vec<u32> {
    let words = text.split_whitespace().map(|word| word.trim_start_matches('w').parse::<u32>().unwrap() + 4);
    std::iter::once(2).chain(words).chain([3]).collect()
}

/// The mean of the hidden vectors of a text, of length 1.
fn embedding(model: &BertModel, text: &str) -> Vec<f32> {
    let ids = ids(text);
    let length = ids.len();
    let ids = Tensor::from_vec(ids, (1, length), &Device::Cpu).unwrap();
    let segments = ids.zeros_like().unwrap();
    let mean = model.forward(&ids, &segments, None).unwrap().mean(1).unwrap();
    let mean: Vec<f32> = mean.flatten_all().unwrap().to_vec1().unwrap();
    let norm = mean.iter().map(|value| value * value).sum::<f32>().sqrt();
    mean.iter().map(|value| value / norm).collect()
}

#[test]
fn both_encoders_equal_candles_own_bert() {
    for activation in ["gelu", "gelu_new", "relu"] {
        let model = TinyModel { layers: 3, heads: 4, activation, ..TinyModel::default() };
        let config: Config = serde_json::from_value({
            let mut config = model.config();
            let names = [("gelu", "gelu"), ("gelu_new", "gelu_approximate"), ("relu", "relu")];
            config["hidden_act"] =
                names.iter().find(|(ours, _)| *ours == activation).unwrap().1.replace('_', "").into();
            for (name, value) in [("hidden_dropout_prob", 0.1), ("initializer_range", 0.02)] {
                config[name] = value.into();
            }
            config["pad_token_id"] = 0.into();
            config
        })
        .unwrap();
        let tensors: HashMap<String, Tensor> = model
            .tensors()
            .into_iter()
            .map(|(name, (shape, values))| (name, Tensor::from_vec(values, shape, &Device::Cpu).unwrap()))
            .collect();
        let reference = BertModel::load(VarBuilder::from_tensors(tensors, DType::F32, &Device::Cpu), &config).unwrap();
        let texts: Vec<String> = (0..6).map(|index| text(1 + index * 4, index)).collect();
        for backend in [BackendRequest::Auto, BackendRequest::Candle] {
            let mut options = EmbedderOptions::default();
            options.backend = backend;
            let found = SentenceEmbedder::load(model.write().path(), options).unwrap().embed(&texts).unwrap();
            for (text, row) in texts.iter().zip(found.rows()) {
                let expected = embedding(&reference, text);
                let off = row.iter().zip(&expected).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
                assert!(off <= TOLERANCE, "{activation} {backend:?} {text:?}: {off}");
            }
        }
    }
}
