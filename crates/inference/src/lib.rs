//! Endpoint types for inference: sentence embeddings on a fused CPU encoder, Candle as reference and fall-back.
