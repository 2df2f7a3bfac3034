//! The real model gives PyTorch's embeddings.
//!
//! `tests/fixtures/minilm_parity.json` is written by `cargo xtask parity`:
//! `{"model": …, "torch": …, "transformers": …, "rows": [{"text": …, "tokens": n, "embedding": [384 numbers]}, …]}`.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail by panicking")]

use std::fs;
use std::path::{Path, PathBuf};

use gen_worker_inference::{BackendRequest, EmbedderOptions, MatrixKernel, SentenceEmbedder};
use serde::Deserialize;

/// Smallest cosine similarity with PyTorch's embedding.
const COSINE_MIN: f64 = 0.99999;

#[derive(Deserialize)]
struct Fixture {
    model: String,
    rows: Vec<Row>,
}

#[derive(Deserialize)]
struct Row {
    text: String,
    tokens: usize,
    embedding: Vec<f32>,
}

fn fixture() -> Fixture {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/minilm_parity.json");
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

fn model_dir(name: &str) -> PathBuf {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/models").join(name);
    assert!(dir.join("model.safetensors").is_file(), "{} is missing: run `cargo xtask setup`", dir.display());
    dir
}

fn cosine(a: &[f32], b: &[f32]) -> f64 {
    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum::<f64>();
    dot(a, b) / (dot(a, a) * dot(b, b)).sqrt()
}

fn check(backend: BackendRequest) {
    let fixture = fixture();
    let mut options = EmbedderOptions::default();
    options.backend = backend;
    let embedder = SentenceEmbedder::load(&model_dir(&fixture.model), options).unwrap();
    let texts: Vec<&str> = fixture.rows.iter().map(|row| row.text.as_str()).collect();
    let embeddings = embedder.embed(&texts).unwrap();
    for ((row, found), tokens) in fixture.rows.iter().zip(embeddings.rows()).zip(embeddings.token_counts()) {
        assert_eq!(*tokens, row.tokens, "{:?}", row.text);
        let cosine = cosine(found, &row.embedding);
        assert!(cosine >= COSINE_MIN, "{:?} on {backend:?}: cosine {cosine}", row.text);
        let length = found.iter().map(|value| f64::from(*value).powi(2)).sum::<f64>().sqrt();
        assert!((length - 1.0).abs() < 1e-5, "{:?}: length {length}", row.text);
    }
}

#[test]
fn fused_embeddings_are_those_of_pytorch() {
    check(BackendRequest::Auto);
}

#[test]
fn gemm_embeddings_are_those_of_pytorch() {
    check(BackendRequest::Fused(MatrixKernel::Gemm));
}

#[test]
fn candle_embeddings_are_those_of_pytorch() {
    check(BackendRequest::Candle);
}
