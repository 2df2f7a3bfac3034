//! Sentence embeddings with all-MiniLM-L6-v2.

use std::process::ExitCode;

use gen_worker::{
    inference::{EmbedError, EmbedderOptions, SentenceEmbedder},
    prelude::*,
};

/// Gives freed pages back lazily: the system's allocator returns every large buffer at once and faults it in again.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// What to embed. An output travels inline up to 64 KiB, and one vector takes 3.5 KiB of it.
#[derive(Payload)]
struct Texts {
    #[field(min_len = 1, max_len = 16)]
    texts: Vec<String>,
}

/// One vector per text, in order, of length one.
#[derive(Output)]
struct Vectors {
    embeddings: Vec<Vec<f32>>,
    /// Values of one vector.
    dim: usize,
    /// Tokens of all texts together.
    tokens: usize,
}

/// The loaded model.
struct Embedder {
    model: SentenceEmbedder,
}

#[endpoint(model = hf("sentence-transformers/all-MiniLM-L6-v2"))]
impl Embedder {
    #[setup]
    fn load(dir: ModelDir) -> Result<Self> {
        Ok(Self { model: SentenceEmbedder::load(dir.path(), EmbedderOptions::default()).fatal()? })
    }

    /// The first pass touches every page of the weights; better here than in somebody's request.
    #[warmup]
    fn warm_up(&self) -> Result<()> {
        self.model.embed(&["warm up"]).fatal()?;
        Ok(())
    }

    #[handler]
    fn embed(&self, ctx: &RequestContext, payload: Texts) -> Result<Vectors> {
        let embedded = self.model.embed_unless(&payload.texts, &|| ctx.is_cancelled());
        let embedded = embedded.map_err(|error| match error {
            EmbedError::Canceled => WorkerError::canceled(),
            EmbedError::TooManyTexts { .. } | EmbedError::TextTooLong { .. } => {
                WorkerError::validation(error.to_string())
            }
            error => WorkerError::fatal("EmbedError", error.to_string()),
        })?;
        Ok(Vectors {
            embeddings: embedded.rows().map(<[f32]>::to_vec).collect(),
            dim: embedded.dimension(),
            tokens: embedded.token_counts().iter().sum(),
        })
    }
}

fn main() -> ExitCode {
    gen_worker_cli::main()
}
