use super::*;
use crate::kernel::Activation;

fn config(hidden_size: usize, heads: usize, positions: usize) -> BertConfig {
    BertConfig {
        vocabulary: 10,
        hidden_size,
        layers: 1,
        heads,
        intermediate_size: 8,
        activation: Activation::Gelu,
        layer_norm_epsilon: 1e-12,
        positions,
        segments: 2,
    }
}

fn asked(backend: BackendRequest) -> EmbedderOptions {
    EmbedderOptions { backend, ..EmbedderOptions::default() }
}

#[test]
fn choice_follows_request_then_shape() {
    let usual = config(384, 12, 512);
    let best = Backend::Fused(MatrixKernel::detect());
    assert_eq!(choose(&usual, &asked(BackendRequest::Auto)), (best, BackendReason::Supported));
    let candle = asked(BackendRequest::Candle);
    assert_eq!(choose(&usual, &candle), (Backend::Candle, BackendReason::Requested));
    let gemm = asked(BackendRequest::Fused(MatrixKernel::Gemm));
    assert_eq!(choose(&usual, &gemm), (Backend::Fused(MatrixKernel::Gemm), BackendReason::Requested));
    assert_eq!(choose(&config(512, 1, 512), &gemm), (Backend::Candle, BackendReason::HeadTooWide));
    assert_eq!(choose(&config(384, 12, 1 << 15), &gemm), (Backend::Candle, BackendReason::SequenceTooLong));
}

#[test]
fn accelerators_and_narrow_weights_are_for_candle() {
    let usual = config(384, 12, 512);
    let there = EmbedderOptions { device: Device::Cuda(0), ..EmbedderOptions::default() };
    assert_eq!(choose(&usual, &there), (Backend::Candle, BackendReason::OnAccelerator));
    let storage = WeightStorage::Fp8(gen_worker_core::memory_ladder::ComputeDtype::Bf16);
    let narrow = EmbedderOptions { storage, ..EmbedderOptions::default() };
    assert_eq!(choose(&usual, &narrow), (Backend::Candle, BackendReason::NarrowWeights));
}
