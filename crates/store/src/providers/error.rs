//! Why a provider does not give a model. Owns no state.

use std::{error::Error, sync::Arc, time::Duration};

use gen_worker_hub::{
    RepoPath,
    binding::Provider,
    model_ref::RefError,
    repo_path::{PathConflict, RepoPathError},
};

use super::{SelectError, civitai, hugging_face};
use crate::fetch_error::FetchFailure;

/// Why a provider does not give a model. No credential and no address with a query is in it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ProviderError {
    /// Not a name of a model of that provider.
    #[error("{model} names no model of its provider")]
    Reference {
        /// The name.
        model: String,
        /// What is wrong with it.
        source: RefError,
    },
    /// A model of the hub, or of a provider that this program was built without.
    #[error("{model} is of a provider that this build of the store does not download from")]
    NotProvided {
        /// Which.
        model: String,
    },
    /// An address in the options is none.
    #[error("the address of {provider} is not usable")]
    Address {
        /// Whose.
        provider: &'static str,
    },
    /// Not there, or not for whoever asks.
    #[error("{model} is not there, or not to be seen {}", with(*.with_credential))]
    NotFound {
        /// Which.
        model: String,
        /// Whether it was asked for with a credential.
        with_credential: bool,
        /// What it is called outside.
        code: &'static str,
    },
    /// The repository is there, the revision is not.
    #[error("{model} has no revision {revision}")]
    Revision {
        /// Which.
        model: String,
        /// What was asked for.
        revision: String,
    },
    /// Only for whom its owner lets.
    #[error("{model} may not be downloaded {}: {help}", with(*.with_credential))]
    Denied {
        /// Which.
        model: String,
        /// Whether it was asked for with a credential.
        with_credential: bool,
        /// What to do.
        help: String,
        /// What it is called outside.
        code: &'static str,
    },
    /// Too many requests.
    #[error("{provider} takes no more requests for now{}", after(*.retry_after))]
    RateLimited {
        /// Who.
        provider: &'static str,
        /// For how long, when it says.
        retry_after: Option<Duration>,
    },
    /// No answer, or one that says that there will be another later.
    #[error("{provider} cannot be reached")]
    Unavailable {
        /// Who.
        provider: &'static str,
        /// How that showed.
        source: Arc<dyn Error + Send + Sync>,
    },
    /// An answer that is none.
    #[error("{provider} gave an answer that cannot be used: {what}")]
    Strange {
        /// Who.
        provider: &'static str,
        /// What is wrong with it.
        what: &'static str,
    },
    /// A file that would be somewhere else.
    #[error("{model} has a file whose path cannot be used")]
    Path {
        /// Which model.
        model: String,
        /// What is wrong with it.
        source: RepoPathError,
    },
    /// Files that cannot be together.
    #[error("the files of {model} cannot be in one directory")]
    Paths {
        /// Which.
        model: String,
        /// Which files.
        source: PathConflict,
    },
    /// It has no files.
    #[error("{model} has no files")]
    Empty {
        /// Which.
        model: String,
    },
    /// Its files are not what was asked for.
    #[error("no files of {model} can be chosen")]
    Selection {
        /// Which.
        model: String,
        /// Why.
        source: SelectError,
    },
    /// More than the limit (rule 4.7).
    #[error(
        "the files of {model} have {bytes} bytes together, the limit is {limit}: choose with `files`, or raise it with \
         COZY_HF_MAX_REPO_BYTES"
    )]
    TooLarge {
        /// Which.
        model: String,
        /// All that was selected.
        bytes: u64,
        /// What may be.
        limit: u64,
    },
    /// The files took longer than they may (rule 4.16).
    #[error("the files of {model} did not come within {} s: the next try goes on with what came", limit.as_secs_f64())]
    TooLong {
        /// Which.
        model: String,
        /// How long they may take.
        limit: Duration,
    },
    /// The server does not give a file.
    #[error("{file} of {model} is not given (status {status})")]
    Refused {
        /// Whose server.
        provider: Provider,
        /// Of which model.
        model: String,
        /// Which file.
        file: RepoPath,
        /// What the server said.
        status: u16,
    },
    /// Other bytes came than were promised, each time.
    #[error("the bytes that came are not {file} of {model}")]
    Mismatch {
        /// Of which model.
        model: String,
        /// Which file.
        file: RepoPath,
    },
    /// The transfer failed, each time.
    #[error("{file} of {model} cannot be downloaded")]
    Transfer {
        /// Of which model.
        model: String,
        /// Which file.
        file: RepoPath,
        /// How it failed the last time.
        source: Arc<dyn Error + Send + Sync>,
    },
    /// It is not on disk, and nobody may be asked (rule 3.8).
    #[error("{model} is not on disk, and no connection is allowed")]
    NotLocal {
        /// Which.
        model: String,
    },
}

impl ProviderError {
    /// What the outside calls it, where it has a name of its own.
    #[must_use]
    pub fn code(&self) -> Option<&'static str> {
        match self {
            Self::NotFound { code, .. } | Self::Denied { code, .. } => Some(code),
            Self::Refused { provider, status, .. } => refusal(*provider, *status),
            Self::Selection { source: SelectError::NoSupportedFiles, .. } => Some("civitai_no_supported_files"),
            _ => None,
        }
    }

    /// What the outside calls the failure (model contract, 3.7).
    #[must_use]
    pub fn failure(&self) -> FetchFailure {
        match self {
            Self::Mismatch { .. } => FetchFailure::DigestMismatch,
            _ => FetchFailure::DownloadFailed,
        }
    }

    /// Whether trying again right away may help (model contract, 3.6).
    #[must_use]
    pub fn is_passing(&self) -> bool {
        matches!(
            self,
            Self::RateLimited { .. }
                | Self::Unavailable { .. }
                | Self::TooLong { .. }
                | Self::Mismatch { .. }
                | Self::Transfer { .. }
        )
    }
}

fn refusal(provider: Provider, status: u16) -> Option<&'static str> {
    match (provider, status) {
        (Provider::Civitai, 401 | 403) => Some(civitai::ACCESS_DENIED),
        (Provider::Civitai, 404) => Some(civitai::NOT_FOUND),
        (Provider::HuggingFace, 401 | 403) => Some(hugging_face::ACCESS_DENIED),
        (Provider::HuggingFace, 404) => Some(hugging_face::NOT_FOUND),
        _ => None,
    }
}

fn with(credential: bool) -> &'static str {
    if credential { "with this credential" } else { "without a credential" }
}

fn after(wait: Option<Duration>) -> String {
    wait.map_or(String::new(), |wait| format!(", again in {} s", wait.as_secs()))
}
