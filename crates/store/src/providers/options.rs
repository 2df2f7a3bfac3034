//! Where providers are, and who asks. The default addresses are those of the providers; tests and mirrors have others.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use gen_worker_hub::BearerToken;

use super::LegacySelection;
use crate::download::TransferOptions;

/// Largest selection of a repository of Hugging Face, in bytes (rule 4.7).
const REPO_BYTES_MAX: u64 = 60_000_000_000;

/// Longer than any transfer: clocks can count it.
const NEVER: Duration = Duration::from_secs(10 * 365 * 24 * 3600);

/// Options of all providers.
#[derive(Clone, Debug)]
pub struct ProviderOptions {
    /// Hugging Face.
    pub hugging_face: HuggingFaceOptions,
    /// Civitai.
    pub civitai: CivitaiOptions,
    /// ModelScope.
    pub model_scope: ModelScopeOptions,
    /// Time for a connection to their interfaces (rule 5.1).
    pub connect: Duration,
    /// Time for one call of them.
    pub call: Duration,
}

/// Options of Hugging Face.
#[derive(Clone, Debug)]
pub struct HuggingFaceOptions {
    /// Its address, without a path.
    pub endpoint: String,
    /// The directory that the Python library calls `HF_HOME`: models are in `hub` of it, for both.
    pub home: PathBuf,
    /// Sent to `endpoint` and nobody else.
    pub token: Option<BearerToken>,
    /// More than this is not downloaded for one model; none when all is.
    pub repo_bytes_max: Option<u64>,
    /// The rules of version 0.3 for all requests without patterns, when their variables are set.
    pub legacy: Option<LegacySelection>,
}

/// Options of Civitai.
#[derive(Clone, Debug)]
pub struct CivitaiOptions {
    /// The address of its interface.
    pub api: String,
    /// Sent to hosts of Civitai and to the host of `api`, and nobody else.
    pub key: Option<BearerToken>,
}

/// Options of ModelScope. It is asked without a name: only public models come.
#[derive(Clone, Debug)]
pub struct ModelScopeOptions {
    /// Its address, without a path.
    pub endpoint: String,
}

impl ProviderOptions {
    /// The providers themselves, for the store in `root`.
    #[must_use]
    pub fn new(root: &Path) -> Self {
        Self {
            hugging_face: HuggingFaceOptions {
                endpoint: "https://huggingface.co".to_owned(),
                home: root.join("huggingface"),
                token: None,
                repo_bytes_max: Some(REPO_BYTES_MAX),
                legacy: None,
            },
            civitai: CivitaiOptions { api: "https://civitai.com/api/v1".to_owned(), key: None },
            model_scope: ModelScopeOptions { endpoint: "https://www.modelscope.cn".to_owned() },
            connect: Duration::from_secs(30),
            call: Duration::from_secs(120),
        }
    }
}

impl HuggingFaceOptions {
    /// The time after which a transfer without bytes is given up that `text` says, the value of
    /// `COZY_HF_DOWNLOAD_STALL_TIMEOUT_S` in seconds (rule 4.16): never for what is not positive, the contract's for what is no
    /// number. For [`crate::TransferOptions::stall`].
    #[must_use]
    pub fn stall_of(text: &str) -> Duration {
        match text.trim().parse::<f64>() {
            Ok(seconds) if seconds <= 0.0 => NEVER,
            Ok(seconds) => Duration::try_from_secs_f64(seconds).map_or(NEVER, |stall| stall.min(NEVER)),
            Err(_) => TransferOptions::default().stall,
        }
    }

    /// The limit that `text` says, the value of `COZY_HF_MAX_REPO_BYTES`: none for what is not positive, the contract's for
    /// what is no number.
    #[must_use]
    pub fn repo_bytes_max_of(text: &str) -> Option<u64> {
        match text.trim().parse::<i128>() {
            Ok(limit) if limit <= 0 => None,
            Ok(limit) => Some(u64::try_from(limit).unwrap_or(u64::MAX)),
            Err(_) => Some(REPO_BYTES_MAX),
        }
    }
}
