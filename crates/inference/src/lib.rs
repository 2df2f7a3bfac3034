//! Inference for gen-worker: model families that an endpoint type loads from a directory and calls.
//!
//! The first family is **sentence embeddings** of BERT-shaped encoders. [`SentenceEmbedder::load`] reads a directory
//! as sentence-transformers writes it, [`SentenceEmbedder::embed`] turns texts into vectors:
//!
//! ```no_run
//! use gen_worker_inference::{EmbedderOptions, SentenceEmbedder};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let embedder = SentenceEmbedder::load("models/all-MiniLM-L6-v2".as_ref(), EmbedderOptions::default())?;
//! let embeddings = embedder.embed(&["a text", "another one"])?;
//! assert_eq!((embeddings.len(), embeddings.dimension()), (2, 384));
//! # Ok(())
//! # }
//! ```
//!
//! Two implementations compute the encoder. The fused one (`encoder`, on the kernels of `kernel`) is written for
//! CPUs: packed tokens, packed weights, one parallel loop per layer. The one on Candle (`candle`) is what the fused one is
//! tested against, runs shapes that it does not take, and runs on accelerators: there a model can move to host memory and
//! back, or be brought in groups when it does not fit; [`SentenceEmbedder::backend`] says which and why. Both lay adapters
//! over the model for single calls ([`SentenceEmbedder::embed_adapted`]).
//!
//! Everything here blocks and computes. This crate opens only the model directory it is given: no network, no
//! environment, no wire messages, no job state.

mod backend;
mod candle;
mod embedder;
mod encoder;
mod endpoint;
mod kernel;
mod lora;
mod mapped;
mod model_dir;
mod packing;
mod pooling;
mod tokenizer;
mod weights;

pub use backend::{Backend, BackendReason, BackendRequest};
pub use candle::Accelerators;
pub use embedder::{EmbedError, EmbedderOptions, Embeddings, LoadError, SentenceEmbedder};
pub use kernel::MatrixKernel;
pub use lora::LoraError;
pub use model_dir::ConfigError;
pub use tokenizer::TokenizerError;
pub use weights::WeightsError;
