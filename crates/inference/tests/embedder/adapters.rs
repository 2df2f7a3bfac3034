//! Adapters laid over a model give what weights give that they were merged into, in 64 bits.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use gen_worker_core::context::Lora;
use gen_worker_core::lora_overlays::AttachLimits;
use gen_worker_inference::{BackendRequest, EmbedError, EmbedderOptions, LoraError, SentenceEmbedder};
use safetensors::Dtype;
use safetensors::tensor::TensorView;
use serde_json::json;
use tempfile::TempDir;

use crate::tiny_model::{Random, Tensors, TinyModel, text, write_json};

/// Largest difference between two components: sums of 32 bits in another order.
const TOLERANCE: f32 = 2e-5;

const RANK: usize = 3;
const ALPHA: f32 = 6.0;

/// Wide enough for several blocks of the fused encoder.
fn model() -> TinyModel {
    TinyModel { head_size: 20, heads: 3, intermediate: 800, ..TinyModel::default() }
}

/// The dense layers of `model` with their inputs and outputs.
fn dense(model: &TinyModel) -> Vec<(String, usize, usize)> {
    let (hidden, wide) = (model.hidden(), model.intermediate);
    let parts = [
        ("attention.self.query", hidden, hidden),
        ("attention.self.key", hidden, hidden),
        ("attention.self.value", hidden, hidden),
        ("attention.output.dense", hidden, hidden),
        ("intermediate.dense", hidden, wide),
        ("output.dense", wide, hidden),
    ];
    let of_layer =
        |layer: usize| parts.map(|(part, input, output)| (format!("encoder.layer.{layer}.{part}"), input, output));
    (0..model.layers).flat_map(of_layer).collect()
}

/// Random tensors of an adapter that changes every dense layer.
pub fn adapter(model: &TinyModel, seed: u64) -> Tensors {
    let mut random = Random(seed);
    let mut tensors = Tensors::new();
    for (name, input, output) in dense(model) {
        for (half, shape) in [("lora_A", vec![RANK, input]), ("lora_B", vec![output, RANK])] {
            let count: usize = shape.iter().product();
            let values = (0..count).map(|_| random.next() * 0.2).collect();
            tensors.insert(format!("base_model.model.{name}.{half}.weight"), (shape, values));
        }
    }
    tensors
}

fn write(path: &Path, tensors: &Tensors) {
    let bytes: Vec<_> = tensors
        .iter()
        .map(|(name, (shape, values))| {
            (name, shape, values.iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<u8>>())
        })
        .collect();
    let views =
        bytes.iter().map(|(name, shape, bytes)| (*name, TensorView::new(Dtype::F32, (*shape).clone(), bytes).unwrap()));
    fs::write(path, safetensors::serialize(views, None).unwrap()).unwrap();
}

/// An adapter on disk, as PEFT writes it.
pub fn on_disk(dir: &Path, name: &str, tensors: &Tensors) -> PathBuf {
    let dir = dir.join(name);
    fs::create_dir_all(&dir).unwrap();
    write_json(&dir, "adapter_config.json", &json!({"peft_type": "LORA", "r": RANK, "lora_alpha": ALPHA}));
    let file = dir.join("adapter_model.safetensors");
    write(&file, tensors);
    file
}

pub fn lora(name: &str, weight: f64, file: &Path) -> Lora {
    Lora { reference: format!("o/{name}"), weight, id: format!("o/{name}@1"), file: file.to_owned() }
}

/// The model with `w += weight * alpha / rank * B * A` for every adapter, computed in 64 bits.
fn merged(model: &TinyModel, adapters: &[(&Tensors, f64)]) -> TempDir {
    let dir = model.write();
    let mut tensors = model.tensors();
    for (name, input, output) in dense(model) {
        let (_, weights) = tensors.get_mut(&format!("{name}.weight")).unwrap();
        for (at, value) in weights.iter_mut().enumerate() {
            let (row, column) = (at / input, at % input);
            assert!(row < output);
            let mut sum = f64::from(*value);
            for (adapter, weight) in adapters {
                let half = |half: &str| &adapter[&format!("base_model.model.{name}.{half}.weight")].1;
                let (down, up) = (half("lora_A"), half("lora_B"));
                let product: f64 =
                    (0..RANK).map(|at| f64::from(up[row * RANK + at]) * f64::from(down[at * input + column])).sum();
                sum += weight * f64::from(ALPHA) / RANK as f64 * product;
            }
            *value = sum as f32;
        }
    }
    model.write_weights(dir.path(), &tensors);
    dir
}

fn load(dir: &Path, backend: BackendRequest, count_max: usize) -> SentenceEmbedder {
    let mut options = EmbedderOptions::default();
    options.backend = backend;
    options.tokens_per_pass = 60;
    options.adapters = AttachLimits { count_max, ..AttachLimits::default() };
    SentenceEmbedder::load(dir, options).unwrap()
}

fn texts() -> Vec<String> {
    (0..12).map(|index| text(index * 2, index)).collect()
}

#[test]
fn m9_lora_an_overlay_equals_weights_merged_in_64_bits() {
    let model = model();
    let (base, files) = (model.write(), tempfile::tempdir().unwrap());
    let (first, second) = (adapter(&model, 5), adapter(&model, 6));
    let loras =
        [lora("a", -0.7, &on_disk(files.path(), "a", &first)), lora("b", 1.5, &on_disk(files.path(), "b", &second))];
    let reference = merged(&model, &[(&first, -0.7), (&second, 1.5)]);
    for backend in [BackendRequest::Auto, BackendRequest::Candle] {
        let embedder = load(base.path(), backend, 8);
        let plain = embedder.embed(&texts()).unwrap();
        let found = embedder.embed_adapted(&texts(), &loras, &|| false).unwrap();
        let expected = load(reference.path(), backend, 8).embed(&texts()).unwrap();
        let difference = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        let (off, change) = (difference(found.values(), expected.values()), difference(found.values(), plain.values()));
        assert!(off <= TOLERANCE, "{backend:?}: {off} beside the merged weights");
        assert!(change > 0.05, "{backend:?}: the adapters change little: {change}");
        assert_eq!(embedder.embed(&texts()).unwrap(), plain, "active in the call that names them");
        assert_eq!(embedder.attached().0, 2);
        let again = embedder.embed_adapted(&texts(), &loras, &|| false).unwrap();
        assert_eq!(again, found, "attached ones give the same");
    }
}

#[test]
fn m9_lora_those_used_longest_ago_leave_the_pipeline_and_a_move_drops_all() {
    let model = TinyModel::default();
    let (base, files) = (model.write(), tempfile::tempdir().unwrap());
    let loras: BTreeMap<_, _> = (0..3_u64)
        .map(|seed| {
            (seed, lora(&seed.to_string(), 1.0, &on_disk(files.path(), &seed.to_string(), &adapter(&model, seed + 1))))
        })
        .collect();
    let mut embedder = load(base.path(), BackendRequest::Candle, 2);
    let first = embedder.embed_adapted(&["w1"], &[loras[&0].clone()], &|| false).unwrap();
    let one = embedder.attached();
    assert!(one.0 == 1 && one.1 > 0);
    for seed in [1, 2] {
        embedder.embed_adapted(&["w1"], &[loras[&seed].clone()], &|| false).unwrap();
    }
    assert_eq!(embedder.attached(), (2, 2 * one.1));
    let all: Vec<_> = loras.values().cloned().collect();
    let error = embedder.embed_adapted(&["w1"], &all, &|| false).unwrap_err();
    assert!(matches!(error, EmbedError::Adapter(LoraError::Attach(_))), "{error}");
    embedder.move_to(gen_worker_core::context::Device::Cpu).unwrap();
    assert_eq!(embedder.attached(), (0, 0));
    // What was read is still at hand: the file is not needed.
    fs::remove_dir_all(files.path()).unwrap();
    assert_eq!(embedder.embed_adapted(&["w1"], &[loras[&0].clone()], &|| false).unwrap(), first);
}

#[test]
fn m9_lora_files_that_do_not_fit_the_model_are_errors_that_name_the_tensor() {
    let model = TinyModel::default();
    let (base, files) = (model.write(), tempfile::tempdir().unwrap());
    let embedder = load(base.path(), BackendRequest::Auto, 8);
    let query = "base_model.model.encoder.layer.0.attention.self.query";
    type Spoil = fn(&str, &mut Tensors);
    let cases: [(&str, Spoil, &str); 5] = [
        ("half", |query, tensors| drop(tensors.remove(&format!("{query}.lora_B.weight"))), "missing"),
        (
            "wide",
            |query, tensors| drop(tensors.insert(format!("{query}.lora_A.weight"), (vec![1, 5], vec![0.0; 5]))),
            "[1, 5]",
        ),
        (
            "empty",
            |query, tensors| drop(tensors.insert(format!("{query}.lora_A.weight"), (vec![0, 16], vec![]))),
            "[0, 16]",
        ),
        ("other", |_, tensors| drop(tensors.insert("unet.q.lora_A.weight".into(), (vec![1], vec![0.0]))), "unet.q"),
        (
            "endless",
            |query, tensors| tensors.get_mut(&format!("{query}.lora_A.weight")).unwrap().1[0] = f32::NAN,
            "finite",
        ),
    ];
    for (name, spoil, why) in cases {
        let mut tensors = adapter(&model, 1);
        spoil(query, &mut tensors);
        let lora = lora(name, 1.0, &on_disk(files.path(), name, &tensors));
        let error = embedder.embed_adapted(&["w1"], &[lora], &|| false).unwrap_err();
        assert!(error.to_string().contains(why), "{name}: {error}");
        assert_eq!(error.into_worker_error().class(), gen_worker_core::FailureClass::Invalid, "{name}");
    }
    fs::write(files.path().join("torn"), b"\x10\0\0\0\0\0\0\0{").unwrap();
    let error =
        embedder.embed_adapted(&["w1"], &[lora("torn", 1.0, &files.path().join("torn"))], &|| false).unwrap_err();
    assert!(matches!(error, EmbedError::Adapter(LoraError::Header { .. })), "{error}");
    let error =
        embedder.embed_adapted(&["w1"], &[lora("none", 1.0, &files.path().join("none"))], &|| false).unwrap_err();
    assert_eq!(error.into_worker_error().class(), gen_worker_core::FailureClass::Retryable);
}
