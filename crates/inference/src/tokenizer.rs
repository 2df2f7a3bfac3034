//! Texts to token ids: the `tokenizers` crate with our limits around it.
//!
//! Whatever truncation and padding a `tokenizer.json` asks for is replaced: inputs are cut at the model's longest
//! input and never padded. Immutable after loading; any number of threads may encode at once.

use std::fs::File;
use std::io::{self, Read};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use thiserror::Error;
use tokenizers::{PostProcessor, Tokenizer, TruncationParams};

use crate::packing::TokenSequence;

/// Largest `tokenizer.json` read, in bytes. Vocabularies of 250,000 entries take about 17 MB.
const TOKENIZER_SIZE_BYTES_MAX: u64 = 64 << 20;

/// Why a tokenizer could not be loaded.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum TokenizerError {
    /// The file cannot be read.
    #[error("cannot read tokenizer {}", path.display())]
    Read {
        /// The tokenizer file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The file is larger than any tokenizer.
    #[error("tokenizer {} has more than {TOKENIZER_SIZE_BYTES_MAX} bytes", path.display())]
    TooLarge {
        /// The tokenizer file.
        path: PathBuf,
    },
    /// The file is not a tokenizer.
    #[error("{} is not a valid tokenizer: {detail}", path.display())]
    Invalid {
        /// The tokenizer file.
        path: PathBuf,
        /// What is wrong with it.
        detail: String,
    },
    /// The model's longest input has no room for text.
    #[error("tokenizer {} adds {added} special tokens, the model takes {tokens_max} in all", path.display())]
    NoRoom {
        /// The tokenizer file.
        path: PathBuf,
        /// Special tokens added to each text.
        added: usize,
        /// Longest input of the model.
        tokens_max: usize,
    },
}

/// A loaded tokenizer.
#[derive(Debug)]
pub(crate) struct TextTokenizer {
    tokenizer: Tokenizer,
    lowercase: bool,
}

impl TextTokenizer {
    /// Loads `path`; inputs will be cut at `tokens_max` tokens.
    ///
    /// # Errors
    ///
    /// When the file is missing, too large, not a tokenizer, or leaves no room for text.
    pub(crate) fn load(path: &Path, tokens_max: usize, lowercase: bool) -> Result<Self, TokenizerError> {
        let mut bytes = Vec::new();
        File::open(path)
            .and_then(|file| file.take(TOKENIZER_SIZE_BYTES_MAX + 1).read_to_end(&mut bytes))
            .map_err(|source| TokenizerError::Read { path: path.to_owned(), source })?;
        if bytes.len() as u64 > TOKENIZER_SIZE_BYTES_MAX {
            return Err(TokenizerError::TooLarge { path: path.to_owned() });
        }
        let invalid = |detail| TokenizerError::Invalid { path: path.to_owned(), detail };
        let mut tokenizer = guarded(|| Tokenizer::from_bytes(&bytes)).map_err(invalid)?;
        let added = tokenizer.get_post_processor().map_or(0, |processor| processor.added_tokens(false));
        if added >= tokens_max {
            return Err(TokenizerError::NoRoom { path: path.to_owned(), added, tokens_max });
        }
        tokenizer.with_padding(None);
        let truncation = TruncationParams { max_length: tokens_max, ..TruncationParams::default() };
        guarded(|| tokenizer.with_truncation(Some(truncation)).map(drop)).map_err(invalid)?;
        // A post-processor that names tokens it does not define is found by using it, before any caller does.
        guarded(|| tokenizer.encode_fast("", true)).map_err(invalid)?;
        Ok(Self { tokenizer, lowercase })
    }

    /// Token ids of a text, special tokens included.
    ///
    /// # Errors
    ///
    /// What the tokenizer says: for instance a character without an id and no unknown token.
    pub(crate) fn encode(&self, text: &str) -> Result<TokenSequence, String> {
        let encoding = guarded(|| {
            if self.lowercase {
                self.tokenizer.encode_fast(text.to_lowercase(), true)
            } else {
                self.tokenizer.encode_fast(text, true)
            }
        })?;
        Ok(TokenSequence { ids: encoding.get_ids().to_vec(), segments: encoding.get_type_ids().to_vec() })
    }
}

/// Runs a call into the `tokenizers` crate. It panics on some files that contradict themselves (a template that names
/// an undefined special token); here that is an error like any other. Encoding does not change the tokenizer, and one
/// whose loading failed is dropped, so nothing is left half-done.
fn guarded<T>(work: impl FnOnce() -> tokenizers::Result<T>) -> Result<T, String> {
    match catch_unwind(AssertUnwindSafe(work)) {
        Ok(result) => result.map_err(|error| error.to_string()),
        Err(panic) => {
            let text = panic.downcast_ref::<&str>().map(ToString::to_string);
            let text = text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_default();
            Err(format!("it contradicts itself: {text}"))
        }
    }
}
