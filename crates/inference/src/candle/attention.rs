//! Attention within sequences of one length.

use candle_core::{D, Tensor};

use super::layer::Shape;

/// Attends within each of `sequences` sequences of `length` rows. `query`, `key` and `value` are `[rows, hidden]`, and so
/// is the result.
pub(super) fn attend(
    shape: Shape,
    (sequences, length): (usize, usize),
    [query, key, value]: [Tensor; 3],
) -> candle_core::Result<Tensor> {
    let heads =
        |rows: Tensor| rows.reshape((sequences, length, shape.heads, shape.head))?.transpose(1, 2)?.contiguous();
    let (query, key, value) = (heads(query)?, heads(key)?, heads(value)?);
    #[expect(clippy::cast_precision_loss, reason = "heads are small")]
    let scale = 1.0 / (shape.head as f64).sqrt();
    let scores = (query.matmul(&key.transpose(D::Minus2, D::Minus1)?.contiguous()?)? * scale)?;
    let context = candle_nn::ops::softmax_last_dim(&scores)?.matmul(&value)?;
    context.transpose(1, 2)?.contiguous()?.reshape((sequences * length, shape.hidden))
}
