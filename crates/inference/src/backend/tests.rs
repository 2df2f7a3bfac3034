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

#[test]
fn choice_follows_request_then_shape() {
    let usual = config(384, 12, 512);
    let best = Backend::Fused(MatrixKernel::detect());
    assert_eq!(choose(&usual, BackendRequest::Auto), (best, BackendReason::Supported));
    assert_eq!(choose(&usual, BackendRequest::Candle), (Backend::Candle, BackendReason::Requested));
    let gemm = BackendRequest::Fused(MatrixKernel::Gemm);
    assert_eq!(choose(&usual, gemm), (Backend::Fused(MatrixKernel::Gemm), BackendReason::Requested));
    assert_eq!(choose(&config(512, 1, 512), gemm), (Backend::Candle, BackendReason::HeadTooWide));
    assert_eq!(choose(&config(384, 12, 1 << 15), gemm), (Backend::Candle, BackendReason::SequenceTooLong));
}
