//! The fused encoder and Candle give the same embeddings, whatever the shape.

use gen_worker_inference::{Backend, BackendReason, BackendRequest, EmbedderOptions, MatrixKernel, SentenceEmbedder};
use proptest::prelude::*;
use safetensors::Dtype;

use crate::tiny_model::{TinyModel, text};

/// Largest difference between two components. The embeddings compared have length 1 or come out of a LayerNorm.
const TOLERANCE: f32 = 1e-5;

fn embedder(model: &TinyModel, backend: BackendRequest, tokens_per_pass: usize) -> SentenceEmbedder {
    let dir = model.write();
    let mut options = EmbedderOptions::default();
    options.backend = backend;
    options.tokens_per_pass = tokens_per_pass;
    SentenceEmbedder::load(dir.path(), options).unwrap()
}

fn compare(model: &TinyModel, texts: &[String], tokens_per_pass: usize) {
    let reference = embedder(model, BackendRequest::Candle, 4096);
    assert_eq!(reference.backend(), (Backend::Candle, BackendReason::Requested));
    let expected = reference.embed(texts).unwrap();
    for kernel in [MatrixKernel::Tile, MatrixKernel::Gemm].into_iter().filter(|kernel| kernel.is_supported()) {
        let fused = embedder(model, BackendRequest::Fused(kernel), tokens_per_pass);
        assert_eq!(fused.backend(), (Backend::Fused(kernel), BackendReason::Requested));
        let found = fused.embed(texts).unwrap();
        assert_eq!(found.token_counts(), expected.token_counts());
        for (index, (found, expected)) in found.values().iter().zip(expected.values()).enumerate() {
            let scale = expected.abs().max(1.0);
            assert!(
                (found - expected).abs() <= TOLERANCE * scale,
                "{kernel:?} value {index}: {found}, candle {expected}"
            );
        }
    }
}

fn models() -> impl Strategy<Value = TinyModel> {
    let shape = (1_usize..21, 1_usize..5, 0_usize..3, 1_usize..90, 3_usize..60);
    let kind = (
        prop::sample::select(vec!["gelu", "gelu_new", "relu"]),
        prop::sample::select(vec!["mean", "cls", "max", "mean_sqrt_len_tokens"]),
        any::<bool>(),
        prop::sample::select(vec!["", "bert."]),
        any::<u64>(),
    );
    (shape, kind).prop_map(
        |((head_size, heads, layers, intermediate, positions), (activation, pooling, normalize, prefix, seed))| {
            let layers = layers + 1;
            // LayerNorm of one or two values is a sign: no tolerance holds for it.
            let head_size = if head_size * heads < 4 { head_size + 3 } else { head_size };
            TinyModel {
                head_size,
                heads,
                layers,
                intermediate,
                positions,
                activation,
                pooling,
                normalize,
                prefix,
                dtype: Dtype::F32,
                seed,
            }
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn fused_equals_candle(
        model in models(), lengths in prop::collection::vec(0_usize..70, 1..12), tokens_per_pass in 1_usize..400,
    ) {
        let texts: Vec<String> = lengths.iter().enumerate().map(|(index, words)| text(*words, index)).collect();
        compare(&model, &texts, tokens_per_pass);
    }
}

#[test]
fn depth_and_width_past_one_block_agree() {
    // 400 hidden values are two blocks of depth, 900 intermediate ones three slices with a ragged end.
    let model = TinyModel { head_size: 40, heads: 10, intermediate: 900, positions: 130, ..TinyModel::default() };
    let texts: Vec<String> = [128, 1, 60, 90].iter().map(|words| text(*words, 3)).collect();
    compare(&model, &texts, 4096);
}

#[test]
fn half_precision_weights_are_widened_at_load() {
    for dtype in [Dtype::F16, Dtype::BF16] {
        compare(&TinyModel { dtype, ..TinyModel::default() }, &[text(5, 1), text(20, 2)], 4096);
    }
}

#[test]
fn a_head_too_wide_for_the_fused_encoder_runs_on_candle() {
    let model = TinyModel { head_size: 260, heads: 1, layers: 1, ..TinyModel::default() };
    let embedder = embedder(&model, BackendRequest::Auto, 4096);
    assert_eq!(embedder.backend(), (Backend::Candle, BackendReason::HeadTooWide));
    assert_eq!(embedder.embed(&["w1 w2"]).unwrap().dimension(), 260);
}
