//! Sentence embeddings from a model directory: tokenizer, encoder, pooling and normalisation in one value.
//!
//! ```text
//! texts -> limits -> token ids (parallel) -> passes of at most `tokens_per_pass` -> encoder -> pooling -> Embeddings
//! ```
//! The embedder is immutable but for one idle workspace and the adapters at hand. It blocks its caller; asynchronous callers put it on a
//! blocking pool. It reads no environment and opens no file after loading.

mod embeddings;
mod engine;
mod options;

use std::path::Path;

use gen_worker_core::context::{Device, Lora};
use rayon::prelude::*;
use thiserror::Error;

pub use embeddings::Embeddings;
use engine::{Engine, Overlay};
pub use options::EmbedderOptions;

use crate::backend::{self, Backend, BackendReason};
use crate::lora::LoraError;
use crate::model_dir::{BertConfig, ConfigError, ModelDir, SentenceModules};
use crate::packing::{PackedBatch, TokenSequence, passes};
use crate::pooling::pool;
use crate::tokenizer::{TextTokenizer, TokenizerError};
use crate::weights::{Checkpoint, WeightsError};

/// Texts tokenised between two looks at the cancel flag: about a millisecond of work.
const TEXTS_PER_CHECK: usize = 64;

/// Why a model could not be loaded. Each names the file and what was expected in it.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum LoadError {
    /// The directory or one of its configuration files.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The tokenizer.
    #[error(transparent)]
    Tokenizer(#[from] TokenizerError),
    /// The weights.
    #[error(transparent)]
    Weights(#[from] WeightsError),
    /// Candle, when it was chosen to run the model.
    #[error("cannot load the model into candle: {0}")]
    Candle(String),
}

/// Why texts could not be embedded.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum EmbedError {
    /// More texts than one call takes.
    #[error("{count} texts in one call, at most {texts_max} allowed")]
    TooManyTexts {
        /// Texts given.
        count: usize,
        /// The limit.
        texts_max: usize,
    },
    /// A text is longer than one may be.
    #[error("text {index} has {size_bytes} bytes, at most {size_bytes_max} allowed")]
    TextTooLong {
        /// Position of the text, from 0.
        index: usize,
        /// Its size.
        size_bytes: usize,
        /// The limit.
        size_bytes_max: usize,
    },
    /// The tokenizer refused a text.
    #[error("text {index} cannot be tokenized: {detail}")]
    Tokenize {
        /// Position of the text, from 0.
        index: usize,
        /// What the tokenizer said.
        detail: String,
    },
    /// The tokenizer gave an id that the model has no embedding for: they do not belong together.
    #[error(
        "text {index} has token {id} of segment {segment}, the model has {vocabulary} tokens and {segments} segments"
    )]
    TokenOutOfRange {
        /// Position of the text, from 0.
        index: usize,
        /// The token.
        id: u32,
        /// Its segment.
        segment: u32,
        /// Size of the model's vocabulary.
        vocabulary: usize,
        /// Number of the model's segments.
        segments: usize,
    },
    /// The caller's cancel check returned true.
    #[error("embedding was canceled")]
    Canceled,
    /// An adapter of the call cannot be laid over the model.
    #[error(transparent)]
    Adapter(#[from] LoraError),
    /// Candle failed.
    #[error("candle failed: {0}")]
    Candle(String),
}

/// A loaded sentence-embedding model. `Send` and `Sync`; calls from several threads run at the same time.
#[derive(Debug)]
pub struct SentenceEmbedder {
    options: EmbedderOptions,
    config: BertConfig,
    modules: SentenceModules,
    tokens_max: usize,
    tokenizer: TextTokenizer,
    engine: Engine,
    backend: (Backend, BackendReason),
}

impl SentenceEmbedder {
    /// Loads the model in `dir`: `config.json`, `tokenizer.json`, `model.safetensors`, and what sentence-transformers
    /// puts beside them. Weights are mapped, then packed in parallel with the loading of the tokenizer.
    ///
    /// # Errors
    ///
    /// [`LoadError`] names the first file that is missing, damaged or not supported. Nothing is left behind.
    pub fn load(dir: &Path, options: EmbedderOptions) -> Result<Self, LoadError> {
        let model = ModelDir::read(dir)?;
        let tokens_max = model.modules.tokens_max.map_or(model.config.positions, |max| max.min(model.config.positions));
        let backend = backend::choose(&model.config, &options);
        tracing::info!(model = %dir.display(), backend = ?backend.0, reason = ?backend.1, "loading sentence embedder");
        let checkpoint = Checkpoint::open(&model.weights)?;
        let (placement, limits) = (options.placement(), options.adapters);
        let (tokenizer, engine) = options.run(|| {
            rayon::join(
                || TextTokenizer::load(&model.tokenizer, tokens_max, model.modules.lowercase),
                || Engine::load(&checkpoint, &model.config, backend.0, placement, limits),
            )
        });
        Ok(Self {
            tokenizer: tokenizer?,
            engine: engine?,
            options,
            config: model.config,
            modules: model.modules,
            tokens_max,
            backend,
        })
    }

    /// Values of one embedding.
    #[must_use]
    pub fn dimension(&self) -> usize {
        self.config.hidden_size
    }

    /// Tokens a text is cut at, special tokens included.
    #[must_use]
    pub fn tokens_max(&self) -> usize {
        self.tokens_max
    }

    /// The implementation that runs this model, and why.
    #[must_use]
    pub fn backend(&self) -> (Backend, BackendReason) {
        self.backend
    }

    /// Embeds texts, in order. Blocks until done.
    ///
    /// # Errors
    ///
    /// See [`EmbedError`]; nothing is embedded when one text is refused.
    pub fn embed<T: AsRef<str> + Sync>(&self, texts: &[T]) -> Result<Embeddings, EmbedError> {
        self.embed_unless(texts, &|| false)
    }

    /// Like [`embed`](Self::embed), but gives up soon after `canceled` returns true. It is asked, from the calling
    /// thread or one of the pool, between groups of texts and before every layer of every pass: at least every few
    /// milliseconds times the size of a pass.
    ///
    /// # Errors
    ///
    /// [`EmbedError::Canceled`] then; otherwise as [`embed`](Self::embed).
    pub fn embed_unless<T: AsRef<str> + Sync>(
        &self,
        texts: &[T],
        canceled: &(dyn Fn() -> bool + Sync),
    ) -> Result<Embeddings, EmbedError> {
        self.embed_adapted(texts, &[], canceled)
    }

    /// The same with these adapters laid over the model, each with its weight, for this call alone. What was read of them
    /// and what is prepared stays at hand within [`EmbedderOptions::adapters`].
    ///
    /// # Errors
    ///
    /// [`EmbedError::Adapter`] when one of them does not fit the model; otherwise as
    /// [`embed_unless`](Self::embed_unless).
    pub fn embed_adapted<T: AsRef<str> + Sync>(
        &self,
        texts: &[T],
        adapters: &[Lora],
        canceled: &(dyn Fn() -> bool + Sync),
    ) -> Result<Embeddings, EmbedError> {
        self.check_limits(texts)?;
        self.options.run(|| {
            let overlay = self.engine.overlay(adapters, &self.config)?;
            let sequences = self.tokenize(texts, canceled)?;
            self.encode(&sequences, &overlay, canceled)
        })
    }

    /// Moves every tensor to `device`; prepared adapters are dropped. The same weights give the same embeddings there, as
    /// far as the device computes alike.
    ///
    /// # Errors
    ///
    /// When there is no such device, its memory does not suffice, or the model cannot move. It is where it was then.
    pub fn move_to(&mut self, device: Device) -> Result<(), EmbedError> {
        self.engine.move_to(device)
    }

    /// Where the weights are and what they take, adapters included; storage that tensors share counts once.
    #[must_use]
    pub fn bytes_by_device(&self) -> Vec<(Device, u64)> {
        self.engine.bytes_by_device()
    }

    /// Whether it can leave its device and come back.
    #[must_use]
    pub fn is_movable(&self) -> bool {
        self.engine.is_movable()
    }

    /// How many adapters are attached, and their bytes together.
    #[must_use]
    pub fn attached(&self) -> (usize, u64) {
        self.engine.attached()
    }

    fn check_limits<T: AsRef<str>>(&self, texts: &[T]) -> Result<(), EmbedError> {
        let (texts_max, size_bytes_max) = (self.options.texts_max, self.options.text_size_bytes_max);
        if texts.len() > texts_max {
            return Err(EmbedError::TooManyTexts { count: texts.len(), texts_max });
        }
        let mut sizes = texts.iter().map(|text| text.as_ref().len()).enumerate();
        match sizes.find(|(_, size_bytes)| *size_bytes > size_bytes_max) {
            Some((index, size_bytes)) => Err(EmbedError::TextTooLong { index, size_bytes, size_bytes_max }),
            None => Ok(()),
        }
    }

    fn tokenize<T: AsRef<str> + Sync>(
        &self,
        texts: &[T],
        canceled: &(dyn Fn() -> bool + Sync),
    ) -> Result<Vec<TokenSequence>, EmbedError> {
        let mut sequences = Vec::with_capacity(texts.len());
        for (group, start) in texts.chunks(TEXTS_PER_CHECK).zip((0..).step_by(TEXTS_PER_CHECK)) {
            if canceled() {
                return Err(EmbedError::Canceled);
            }
            let encoded: Result<Vec<_>, _> = group
                .par_iter()
                .enumerate()
                .map(|(offset, text)| self.tokenize_one(start + offset, text.as_ref()))
                .collect();
            sequences.extend(encoded?);
        }
        Ok(sequences)
    }

    fn tokenize_one(&self, index: usize, text: &str) -> Result<TokenSequence, EmbedError> {
        let sequence = self.tokenizer.encode(text).map_err(|detail| EmbedError::Tokenize { index, detail })?;
        let (vocabulary, segments) = (self.config.vocabulary, self.config.segments);
        let mut tokens = sequence.ids.iter().zip(&sequence.segments);
        match tokens.find(|(id, segment)| **id as usize >= vocabulary || **segment as usize >= segments) {
            Some((&id, &segment)) => Err(EmbedError::TokenOutOfRange { index, id, segment, vocabulary, segments }),
            None => Ok(sequence),
        }
    }

    fn encode(
        &self,
        sequences: &[TokenSequence],
        overlay: &Overlay,
        canceled: &(dyn Fn() -> bool + Sync),
    ) -> Result<Embeddings, EmbedError> {
        let lengths: Vec<usize> = sequences.iter().map(|sequence| sequence.ids.len()).collect();
        let mut values = Vec::with_capacity(sequences.len() * self.dimension());
        for pass in passes(&lengths, self.options.tokens_per_pass) {
            let batch = PackedBatch::new(&sequences[pass]);
            self.engine.run(&batch, overlay, canceled, |hidden| {
                pool(self.modules.pooling, self.modules.normalize, &batch, hidden, self.dimension(), &mut values);
            })?;
        }
        Ok(Embeddings::new(values, self.dimension(), lengths))
    }
}
