//! A model at its provider: which files are to come, from where, and to where. A value.

use std::time::Duration;

use gen_worker_hub::{BearerToken, RepoPath, SignedUrl, binding::Provider};

use super::{Place, ProviderError};
use crate::wanted::{Credential, Expected, Size, Wanted};

/// A file at a provider.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RemoteFile {
    pub(crate) path: RepoPath,
    pub(crate) size: Size,
    pub(crate) expected: Expected,
    pub(crate) url: SignedUrl,
    /// For the server of `url` and no other.
    pub(crate) credential: Option<BearerToken>,
}

/// What is to come for a request.
#[derive(Clone, Debug)]
pub(crate) struct RemoteModel {
    pub(crate) provider: Provider,
    /// As errors name it.
    pub(crate) name: String,
    pub(crate) files: Vec<RemoteFile>,
    pub(crate) place: Place,
    pub(crate) guards: Guards,
}

/// What ends transfers that take too long (rule 4.16).
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Guards {
    /// Time without bytes after which one is given up; none for that of all transfers.
    pub(crate) stall: Option<Duration>,
    /// Time for all of them together; none when they may take any.
    pub(crate) whole: Option<Duration>,
}

impl RemoteFile {
    pub(crate) fn wanted(&self) -> Wanted {
        let Self { size, expected, url, credential, .. } = self.clone();
        Wanted { expected, size, url, credential: credential.map(Credential::Bearer) }
    }
}

impl RemoteModel {
    /// A model of `files`, which have to be able to be together.
    pub(crate) fn new(
        provider: Provider,
        name: String,
        files: Vec<RemoteFile>,
        place: Place,
    ) -> Result<Self, ProviderError> {
        match RepoPath::check_tree(files.iter().map(|file| &file.path)) {
            Ok(()) if files.is_empty() => Err(ProviderError::Empty { model: name }),
            Ok(()) => Ok(Self { provider, name, files, place, guards: Guards::default() }),
            Err(source) => Err(ProviderError::Paths { model: name, source }),
        }
    }
}
