//! What a sentence-embedding model's directory says about itself, without its weights.
//!
//! ```text
//! config.json                    the encoder's shape                       required
//! tokenizer.json                 read by `tokenizer`                       required
//! model.safetensors              read by `weights`                         required
//! sentence_bert_config.json      longest input, lower-casing               optional
//! modules.json                   which modules follow the encoder          optional
//! <pooling module>/config.json   pooling mode                              when modules.json names one
//! ```
//! Raw JSON becomes typed values here and nowhere else; whatever the encoder cannot honour is an error here.

mod bert_config;
mod json;
mod modules;

use std::path::{Path, PathBuf};

pub(crate) use bert_config::BertConfig;
pub use json::ConfigError;
pub(crate) use modules::SentenceModules;

/// The parsed files of a model directory, and where the large ones are.
#[derive(Debug, Clone)]
pub(crate) struct ModelDir {
    /// Shape of the encoder.
    pub(crate) config: BertConfig,
    /// What happens around it.
    pub(crate) modules: SentenceModules,
    /// The weights.
    pub(crate) weights: PathBuf,
    /// The tokenizer.
    pub(crate) tokenizer: PathBuf,
}

impl ModelDir {
    /// Reads the small files of `dir`.
    ///
    /// # Errors
    ///
    /// When `dir` is not a directory, a required file is missing, or a file says what the encoder does not support.
    pub(crate) fn read(dir: &Path) -> Result<Self, ConfigError> {
        if !dir.is_dir() {
            return Err(ConfigError::NotADirectory { path: dir.to_owned() });
        }
        let config = BertConfig::read(&dir.join("config.json"))?;
        let modules = SentenceModules::read(dir)?;
        let (weights, tokenizer) = (dir.join("model.safetensors"), dir.join("tokenizer.json"));
        for path in [&weights, &tokenizer] {
            if !path.is_file() {
                return Err(ConfigError::MissingFile { path: path.clone() });
            }
        }
        Ok(Self { config, modules, weights, tokenizer })
    }
}
