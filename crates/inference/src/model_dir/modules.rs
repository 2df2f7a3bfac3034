//! `modules.json` and the files it leads to: pooling, normalisation, longest input.

use std::path::{Component, Path};

use serde::Deserialize;

use crate::pooling::Pooling;

use super::json::{ConfigError, read_optional, read_required};

/// Most modules read. Published models have three.
const MODULES_MAX: usize = 16;

/// What stands around the encoder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SentenceModules {
    /// How token vectors become one.
    pub(crate) pooling: Pooling,
    /// Whether the result is scaled to length 1.
    pub(crate) normalize: bool,
    /// Longest input in tokens, if the model limits it below its positions.
    pub(crate) tokens_max: Option<usize>,
    /// Whether texts are lower-cased before the tokenizer sees them.
    pub(crate) lowercase: bool,
}

#[derive(Debug, Deserialize)]
struct RawModule {
    #[serde(default)]
    path: String,
    #[serde(rename = "type")]
    kind: String,
}

#[derive(Debug, Default, Deserialize)]
struct RawSentenceConfig {
    max_seq_length: Option<usize>,
    #[serde(default)]
    do_lower_case: bool,
}

#[derive(Debug, Deserialize)]
struct RawPooling {
    pooling_mode: Option<String>,
    #[serde(default)]
    pooling_mode_cls_token: bool,
    #[serde(default)]
    pooling_mode_mean_tokens: bool,
    #[serde(default)]
    pooling_mode_max_tokens: bool,
    #[serde(default)]
    pooling_mode_mean_sqrt_len_tokens: bool,
    #[serde(default)]
    pooling_mode_weightedmean_tokens: bool,
    #[serde(default)]
    pooling_mode_lasttoken: bool,
}

impl SentenceModules {
    /// Reads the files of `dir`. A plain encoder without `modules.json` gets mean pooling and no normalisation, as
    /// sentence-transformers does.
    pub(super) fn read(dir: &Path) -> Result<Self, ConfigError> {
        let sentence: RawSentenceConfig = read_optional(&dir.join("sentence_bert_config.json"))?.unwrap_or_default();
        if sentence.max_seq_length == Some(0) {
            return Err(ConfigError::Value {
                path: dir.join("sentence_bert_config.json"),
                field: "max_seq_length",
                found: "0".to_owned(),
                expected: "a positive number or null".to_owned(),
            });
        }
        let mut modules = Self {
            pooling: Pooling::Mean,
            normalize: false,
            tokens_max: sentence.max_seq_length,
            lowercase: sentence.do_lower_case,
        };
        let path = dir.join("modules.json");
        let Some(listed) = read_optional::<Vec<RawModule>>(&path)? else {
            tracing::info!(model = %dir.display(), "no modules.json: mean pooling, no normalisation");
            return Ok(modules);
        };
        if listed.len() > MODULES_MAX {
            return Err(unsupported(&path, format!("a list of {}", listed.len()), format!("at most {MODULES_MAX}")));
        }
        for (index, module) in listed.iter().enumerate() {
            match (index, module.kind.rsplit('.').next().unwrap_or_default()) {
                (0, "Transformer") => {}
                (1, "Pooling") => modules.pooling = read_pooling(&module_dir(dir, &path, module)?.join("config.json"))?,
                (2.., "Normalize") => modules.normalize = true,
                _ => {
                    let expected = "Transformer, Pooling and optionally Normalize, in this order".to_owned();
                    return Err(unsupported(&path, format!("{:?} at {index}", module.kind), expected));
                }
            }
        }
        if listed.len() < 2 {
            return Err(unsupported(
                &path,
                format!("a list of {}", listed.len()),
                "Transformer and Pooling".to_owned(),
            ));
        }
        Ok(modules)
    }
}

/// The directory of a module, which has to lie inside the model's.
fn module_dir(dir: &Path, path: &Path, module: &RawModule) -> Result<std::path::PathBuf, ConfigError> {
    let relative = Path::new(&module.path);
    if relative.components().all(|component| matches!(component, Component::Normal(_) | Component::CurDir)) {
        Ok(dir.join(relative))
    } else {
        Err(unsupported(path, format!("path {:?}", module.path), "a path inside the model directory".to_owned()))
    }
}

fn unsupported(path: &Path, found: String, expected: String) -> ConfigError {
    ConfigError::Value { path: path.to_owned(), field: "modules", found, expected }
}

fn read_pooling(path: &Path) -> Result<Pooling, ConfigError> {
    let raw: RawPooling = read_required(path)?;
    let switches = [
        (raw.pooling_mode_mean_tokens, "mean"),
        (raw.pooling_mode_cls_token, "cls"),
        (raw.pooling_mode_max_tokens, "max"),
        (raw.pooling_mode_mean_sqrt_len_tokens, "mean_sqrt_len_tokens"),
        (raw.pooling_mode_weightedmean_tokens, "weightedmean"),
        (raw.pooling_mode_lasttoken, "lasttoken"),
    ];
    let mut modes: Vec<&str> = switches.iter().filter(|(on, _)| *on).map(|(_, mode)| *mode).collect();
    modes.extend(raw.pooling_mode.as_deref());
    match modes.as_slice() {
        ["mean"] => Ok(Pooling::Mean),
        ["cls"] => Ok(Pooling::Cls),
        ["max"] => Ok(Pooling::Max),
        ["mean_sqrt_len_tokens"] => Ok(Pooling::MeanSqrtLen),
        _ => Err(ConfigError::Value {
            path: path.to_owned(),
            field: "pooling mode",
            found: format!("{modes:?}"),
            expected: "exactly one of mean, cls, max, mean_sqrt_len_tokens".to_owned(),
        }),
    }
}
