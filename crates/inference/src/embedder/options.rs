//! What a caller can choose.

use std::sync::Arc;

use rayon::ThreadPool;

use crate::backend::BackendRequest;

/// Most texts of one call by default: twice what hosted embedding services take.
const TEXTS_MAX: usize = 4096;
/// Longest text by default, in bytes. A model reads a few hundred tokens, about 2 KiB of English; a text a hundred
/// times as long is a mistake, and tokenizing it costs time that nobody sees.
const TEXT_SIZE_BYTES_MAX: usize = 256 << 10;
/// Tokens of one pass by default: enough to keep many cores busy, and about 50 MB of activations at width 384.
const TOKENS_PER_PASS: usize = 4096;

/// Settings of a [`SentenceEmbedder`](super::SentenceEmbedder).
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct EmbedderOptions {
    /// Threads to compute on; `None` is rayon's global pool.
    pub pool: Option<Arc<ThreadPool>>,
    /// The implementation wanted.
    pub backend: BackendRequest,
    /// Most texts of one call.
    pub texts_max: usize,
    /// Longest text, in bytes.
    pub text_size_bytes_max: usize,
    /// Tokens computed at once; bounds memory. A longer text is computed alone.
    pub tokens_per_pass: usize,
}

impl Default for EmbedderOptions {
    fn default() -> Self {
        Self {
            pool: None,
            backend: BackendRequest::Auto,
            texts_max: TEXTS_MAX,
            text_size_bytes_max: TEXT_SIZE_BYTES_MAX,
            tokens_per_pass: TOKENS_PER_PASS,
        }
    }
}

impl EmbedderOptions {
    /// Runs `work` on a thread of the pool, so that parallel loops inside it need no hand-over.
    pub(super) fn run<R: Send>(&self, work: impl FnOnce() -> R + Send) -> R {
        match &self.pool {
            Some(pool) => pool.install(work),
            None => rayon::scope(|_| work()),
        }
    }
}
