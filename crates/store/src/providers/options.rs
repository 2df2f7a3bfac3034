//! Where providers are, and who asks. The default addresses are those of the providers; tests and mirrors have others.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use gen_worker_hub::BearerToken;

use super::{LegacySelection, ProviderError, hugging_face::PROVIDER, remote::Guards};
use crate::download::TransferOptions;

/// Largest selection of a repository of Hugging Face, in bytes (rule 4.7).
const REPO_BYTES_MAX: u64 = 60_000_000_000;

/// Largest selection by the rules of version 0.3, in bytes (rule 4.14).
const LEGACY_BYTES_MAX: u64 = 30_000_000_000;

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
    /// The directory that the Python library calls `HF_HOME`: models are in `hub` of it, for both. Those that Python workers left in
    /// it itself are read, too.
    pub home: PathBuf,
    /// Sent to `endpoint` and nobody else.
    pub token: Option<BearerToken>,
    /// More than this is not downloaded for one model; none when all is.
    pub repo_bytes_max: Option<u64>,
    /// The same where the rules of version 0.3 choose.
    pub legacy_bytes_max: Option<u64>,
    /// Time after which a transfer without bytes is given up; none for [`TransferOptions::stall`].
    pub stall: Option<Duration>,
    /// Time for all files of one model; none when it may take any. What came is kept.
    pub download_max: Option<Duration>,
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
                legacy_bytes_max: Some(LEGACY_BYTES_MAX),
                stall: None,
                download_max: None,
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
    /// Sets its address.
    ///
    /// # Errors
    /// [`ProviderError::Address`] when it is none of the web, or has a user or a query in it.
    pub fn set_endpoint(&mut self, endpoint: String) -> Result<(), ProviderError> {
        super::base(&endpoint, PROVIDER)?;
        self.endpoint = endpoint;
        Ok(())
    }

    /// The time after which a transfer without bytes is given up that `text` says, the value of
    /// `COZY_HF_DOWNLOAD_STALL_TIMEOUT_S` in seconds (rule 4.16): never for what is not positive, the contract's for what is no
    /// number.
    #[must_use]
    pub fn stall_of(text: &str) -> Duration {
        match text.trim().parse::<f64>() {
            Ok(seconds) => positive(seconds).unwrap_or(NEVER),
            Err(_) => TransferOptions::default().stall,
        }
    }

    /// The time for all files of one model that `text` says, the value of `COZY_HF_DOWNLOAD_MAX_SECONDS` (rule 4.16): none for
    /// what is not positive or no number.
    #[must_use]
    pub fn download_max_of(text: &str) -> Option<Duration> {
        text.trim().parse().ok().and_then(positive)
    }

    /// Sets the limits of bytes to what `text` says, the value of `COZY_HF_MAX_REPO_BYTES` (rule 4.7): none for what is not
    /// positive. What is no whole number leaves them as they are.
    pub fn set_bytes_max(&mut self, text: &str) {
        let Ok(limit) = text.trim().parse::<i128>() else { return };
        let limit = (limit > 0).then(|| u64::try_from(limit).unwrap_or(u64::MAX));
        (self.repo_bytes_max, self.legacy_bytes_max) = (limit, limit);
    }

    /// What is watched while files of a model come.
    pub(super) fn guards(&self) -> Guards {
        Guards { stall: self.stall, whole: self.download_max }
    }
}

/// So many seconds, when they are more than none and clocks can count them.
fn positive(seconds: f64) -> Option<Duration> {
    let duration = (seconds > 0.0).then(|| Duration::try_from_secs_f64(seconds).ok()).flatten();
    duration.filter(|duration| !duration.is_zero() && *duration <= NEVER)
}
