//! Every way a model directory can be wrong gives one error that names the file, and never a panic.

use std::fs;
use std::path::Path;

use gen_worker_inference::{ConfigError, EmbedderOptions, LoadError, SentenceEmbedder, TokenizerError, WeightsError};
use proptest::prelude::*;
use safetensors::Dtype;
use serde_json::{Value, json};

use crate::tiny_model::{Tensors, TinyModel, weights, write_json};

fn load(dir: &Path) -> Result<SentenceEmbedder, LoadError> {
    SentenceEmbedder::load(dir, EmbedderOptions::default())
}

/// The error of a directory after `change`.
fn refused(change: impl FnOnce(&Path)) -> LoadError {
    let dir = TinyModel::default().write();
    change(dir.path());
    load(dir.path()).map(drop).expect_err("the model was changed")
}

/// The error of a directory whose `config.json` has `field` set to `value`.
fn refused_config(field: &str, value: Value) -> String {
    let error = refused(|dir| {
        let mut config = TinyModel::default().config();
        config[field] = value;
        write_json(dir, "config.json", &config);
    });
    assert!(matches!(error, LoadError::Config(ConfigError::Value { .. })), "{error:?}");
    error.to_string()
}

/// The error of a directory whose tensors went through `change`.
fn refused_tensors(change: impl FnOnce(&mut Tensors)) -> WeightsError {
    let model = TinyModel::default();
    let error = refused(|dir| {
        let mut tensors = model.tensors();
        change(&mut tensors);
        model.write_weights(dir, &tensors);
    });
    match error {
        LoadError::Weights(error) => error,
        other => panic!("{other:?}"),
    }
}

#[test]
fn missing_directories_and_files_are_named() {
    let dir = tempfile::tempdir().unwrap();
    let error = load(&dir.path().join("nowhere")).unwrap_err();
    assert!(
        matches!(&error, LoadError::Config(ConfigError::NotADirectory { .. })) && error.to_string().contains("nowhere")
    );
    for name in ["config.json", "tokenizer.json", "model.safetensors", "1_Pooling/config.json"] {
        let error = refused(|dir| fs::remove_file(dir.join(name)).unwrap());
        let LoadError::Config(ConfigError::MissingFile { path }) = error else { panic!("{name}: {error:?}") };
        assert!(path.ends_with(name));
    }
}

#[test]
fn optional_files_may_be_missing() {
    let dir = TinyModel::default().write();
    fs::remove_file(dir.path().join("modules.json")).unwrap();
    fs::remove_file(dir.path().join("sentence_bert_config.json")).unwrap();
    assert!(load(dir.path()).is_ok());
}

#[test]
fn broken_json_is_named() {
    for name in ["config.json", "modules.json", "1_Pooling/config.json", "sentence_bert_config.json"] {
        for content in ["", "{", "[1", "\"text\"", "{\"hidden_size\": -1}"] {
            if let Err(error) = load_with(name, content.as_bytes()) {
                assert!(
                    matches!(error, LoadError::Config(_)) && error.to_string().contains(name),
                    "{name} {content:?}: {error}"
                );
            }
        }
        let error = load_with(name, &vec![b' '; (1 << 20) + 1]).unwrap_err();
        assert!(matches!(error, LoadError::Config(ConfigError::TooLarge { .. })), "{error}");
    }
    for content in ["", "{}", "{\"model\": 1}", "\u{0}"] {
        let error = load_with("tokenizer.json", content.as_bytes()).unwrap_err();
        assert!(matches!(error, LoadError::Tokenizer(TokenizerError::Invalid { .. })), "{error}");
    }
}

fn load_with(name: &str, content: &[u8]) -> Result<(), LoadError> {
    let dir = TinyModel::default().write();
    fs::write(dir.path().join(name), content).unwrap();
    load(dir.path()).map(drop)
}

#[test]
fn configurations_that_cannot_be_honoured_are_refused() {
    let swish = refused_config("hidden_act", json!("swish"));
    assert!(
        swish.starts_with("hidden_act is swish in ")
            && swish.ends_with("expected gelu, gelu_new, gelu_pytorch_tanh or relu"),
        "{swish}"
    );
    for (field, value) in [
        ("model_type", json!("roberta")),
        ("position_embedding_type", json!("relative_key")),
        ("is_decoder", json!(true)),
        ("hidden_size", json!(0)),
        ("hidden_size", json!(1_u64 << 60)),
        ("num_attention_heads", json!(0)),
        ("num_attention_heads", json!(3)),
        ("num_hidden_layers", json!(1_u64 << 40)),
        ("intermediate_size", json!(0)),
        ("vocab_size", json!(u64::MAX)),
        ("max_position_embeddings", json!(0)),
        ("type_vocab_size", json!(0)),
        ("layer_norm_eps", json!(0.0)),
        ("layer_norm_eps", json!(1e300)),
    ] {
        let error = refused_config(field, value);
        assert!(error.starts_with(&format!("{field} is ")) && error.contains("config.json"), "{error}");
    }
}

#[test]
fn unsupported_modules_and_pooling_modes_are_refused() {
    let module = |path: &str, kind: &str| json!({"path": path, "type": format!("sentence_transformers.models.{kind}")});
    let (transformer, pooling) = (module("", "Transformer"), module("1_Pooling", "Pooling"));
    for modules in [
        json!([]),
        json!([transformer]),
        json!([pooling]),
        json!([transformer, pooling, module("2_Dense", "Dense")]),
        json!([transformer, module("../elsewhere", "Pooling")]),
        json!([transformer, module("/etc", "Pooling")]),
    ] {
        let error = refused(|dir| write_json(dir, "modules.json", &modules));
        assert!(matches!(error, LoadError::Config(ConfigError::Value { field: "modules", .. })), "{modules}: {error}");
    }
    for pooling in [
        json!({}),
        json!({"pooling_mode_lasttoken": true}),
        json!({"pooling_mode_mean_tokens": true, "pooling_mode_cls_token": true}),
    ] {
        let error = refused(|dir| write_json(dir, "1_Pooling/config.json", &pooling));
        assert!(error.to_string().contains("exactly one of mean, cls, max"), "{error}");
    }
    let error = refused(|dir| write_json(dir, "sentence_bert_config.json", &json!({"max_seq_length": 0})));
    assert!(error.to_string().starts_with("max_seq_length is 0"), "{error}");
    let error = refused(|dir| write_json(dir, "sentence_bert_config.json", &json!({"max_seq_length": 2})));
    assert!(matches!(error, LoadError::Tokenizer(TokenizerError::NoRoom { added: 2, tokens_max: 2, .. })), "{error}");
}

#[test]
fn tensors_are_checked_against_the_configuration() {
    let name = "encoder.layer.1.attention.output.dense.weight";
    let error = refused_tensors(|tensors| drop(tensors.remove(name)));
    assert!(matches!(&error, WeightsError::Missing { name: found, .. } if found == name), "{error}");
    let error = refused_tensors(|tensors| tensors.get_mut(name).unwrap().0 = vec![8, 32]);
    let WeightsError::Shape { expected, found, .. } = &error else { panic!("{error}") };
    assert_eq!((expected.as_slice(), found.as_slice()), ([16, 16].as_slice(), [8, 32].as_slice()));
    let double = TinyModel { dtype: Dtype::F64, ..TinyModel::default() };
    let error = load(double.write().path()).map(drop).unwrap_err();
    assert!(matches!(&error, LoadError::Weights(WeightsError::Dtype { found, .. }) if found == "F64"), "{error}");
    let lying = refused(|dir| {
        let mut config = TinyModel::default().config();
        config["vocab_size"] = json!(5);
        write_json(dir, "config.json", &config);
    });
    assert!(matches!(&lying, LoadError::Weights(WeightsError::Shape { .. })), "{lying}");
}

#[test]
fn damaged_weight_files_are_refused() {
    let replaced = |bytes: &[u8]| refused(|dir| fs::write(weights(dir), bytes).unwrap());
    for header_bytes in [0, 11, 17 << 20, u64::MAX] {
        let error = replaced(&[&header_bytes.to_le_bytes()[..], b"{}"].concat());
        assert!(matches!(error, LoadError::Weights(WeightsError::HeaderSize { .. })), "{error:?}");
    }
    let error = replaced(b"");
    assert!(
        matches!(error, LoadError::Weights(WeightsError::Open { .. } | WeightsError::HeaderSize { .. })),
        "{error:?}"
    );
    let error = replaced(&[&2_u64.to_le_bytes()[..], b"{]"].concat());
    assert!(matches!(error, LoadError::Weights(WeightsError::Header { .. })), "{error:?}");
}

#[test]
fn a_tokenizer_that_contradicts_itself_is_refused_at_load() {
    let dir = TinyModel::default().write();
    let tokenizer = fs::read_to_string(dir.path().join("tokenizer.json")).unwrap();
    let damaged = tokenizer.replace("{\"SpecialToken\":{\"id\":\"[CLS]\"", "{\"SpecialToken\":{\"id\":\"[CLX]\"");
    assert_ne!(damaged, tokenizer);
    fs::write(dir.path().join("tokenizer.json"), damaged).unwrap();
    let error = load(dir.path()).map(drop).unwrap_err();
    assert!(matches!(error, LoadError::Tokenizer(TokenizerError::Invalid { .. })), "{error}");
}

#[test]
fn a_tokenizer_of_another_model_is_an_error_of_the_call() {
    let dir = TinyModel::default().write();
    let tokenizer = fs::read_to_string(dir.path().join("tokenizer.json")).unwrap();
    fs::write(dir.path().join("tokenizer.json"), tokenizer.replace("\"w7\":11", "\"w7\":1100")).unwrap();
    let embedder = load(dir.path()).unwrap();
    assert!(embedder.embed(&["w1 w2"]).is_ok());
    let error = embedder.embed(&["w1", "w2 w7"]).unwrap_err().to_string();
    assert_eq!(error, "text 1 has token 1100 of segment 0, the model has 44 tokens and 2 segments");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn damage_to_any_file_never_panics(
        file in prop::sample::select(vec!["model.safetensors", "config.json", "tokenizer.json", "modules.json", "1_Pooling/config.json"]),
        cut in prop::option::of(0.0_f64..1.0),
        flips in prop::collection::vec((0.0_f64..1.0, 0_u32..8), 0..6),
        in_header: bool,
    ) {
        let dir = TinyModel::default().write();
        let path = dir.path().join(file);
        let mut bytes = fs::read(&path).unwrap();
        // Most of a checkpoint is numbers; half of the cases aim at its header.
        let reach = if in_header { bytes.len().min(4000) } else { bytes.len() };
        if let Some(cut) = cut {
            bytes.truncate((cut * reach as f64) as usize);
        }
        for (place, bit) in flips {
            let index = (place * reach as f64) as usize;
            if let Some(byte) = bytes.get_mut(index) {
                *byte ^= 1 << bit;
            }
        }
        fs::write(&path, bytes).unwrap();
        match load(dir.path()) {
            Ok(embedder) => drop(embedder.embed(&["w1 w2 w3", ""])),
            Err(error) => prop_assert!(!error.to_string().is_empty()),
        }
    }
}
