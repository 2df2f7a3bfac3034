//! Sentence embeddings with all-MiniLM-L6-v2.

use std::process::ExitCode;

use gen_worker::{
    Device, Movable,
    inference::{EmbedError, SentenceEmbedder},
    prelude::*,
};

/// Gives freed pages back lazily: the system's allocator returns every large buffer at once and faults it in again.
#[global_allocator]
static ALLOCATOR: gen_worker_allocator::Allocator = gen_worker_allocator::Allocator;

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

/// The loaded model: where the worker wants it, in the numbers and with as much of it there as it decided.
struct Embedder {
    model: SentenceEmbedder,
}

/// On an accelerator it makes room for others by waiting in host memory.
impl Movable for Embedder {
    fn move_to(&mut self, device: Device) -> Result<()> {
        Movable::move_to(&mut self.model, device)
    }

    fn bytes_by_device(&self) -> Vec<(Device, u64)> {
        self.model.bytes_by_device()
    }

    fn is_movable(&self) -> bool {
        self.model.is_movable()
    }
}

#[endpoint(
    model = hf("sentence-transformers/all-MiniLM-L6-v2").allow_lora(),
    resources(offload),
    movable,
)]
impl Embedder {
    #[setup]
    fn load(model: SentenceEmbedder) -> Result<Self> {
        Ok(Self { model })
    }

    /// The first pass touches every page of the weights; better here than in somebody's request.
    #[warmup]
    fn warm_up(&self) -> Result<()> {
        self.model.embed(&["warm up"]).fatal()?;
        Ok(())
    }

    #[handler]
    fn embed(&self, ctx: &RequestContext, payload: Texts) -> Result<Vectors> {
        // Of this request alone: the next one is embedded without them.
        let adapters = ctx.loras().get("model").map(Vec::as_slice).unwrap_or_default();
        let embedded = self.model.embed_adapted(&payload.texts, adapters, &|| ctx.is_cancelled());
        let embedded = embedded.map_err(EmbedError::into_worker_error)?;
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
