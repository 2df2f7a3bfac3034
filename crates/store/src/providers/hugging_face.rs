//! Hugging Face: what a repository has at a revision, which of it is chosen, and where it goes (model contract, section 4).
//!
//! Everything after the first call names the commit and not the revision: a push in between does not mix two trees.

mod cached;
mod calls;
mod legacy;
mod listing;
mod select;

pub(super) use cached::walk as tree_of_files;
pub use legacy::LegacySelection;
pub(super) use legacy::index_of as weights_of_index;
pub(crate) use select::is_safe;
pub(super) use select::without_shard;
pub use select::{SelectError, select};

use std::{collections::BTreeMap, path::PathBuf};

use futures::{StreamExt as _, TryStreamExt as _, stream};
use gen_worker_hub::{RepoPath, binding::Provider, model_ref::RepoRef};
use tracing::warn;

use super::{
    HuggingFaceOptions, ModelRequest, Place, ProviderError, Receipt, RemoteFile, RemoteModel, api_client::ApiClient,
    place::HubCache,
};
use crate::{disk_pool::DiskPool, fetch_error::FetchError};
use calls::{Calls, INDEX_BYTES_MAX, Repo};
use listing::Listed;
use select::Selection;

/// As errors call it.
pub(super) const PROVIDER: &str = "hugging face";

/// What a refusal of its server is called outside.
pub(super) const ACCESS_DENIED: &str = "hf_access_denied";
pub(super) const NOT_FOUND: &str = "hf_not_found";

/// The revision of who names none.
const DEFAULT_REVISION: &str = "main";

/// Questions about single files that are asked at once.
const QUESTIONS_AT_ONCE: usize = 4;

/// The client. Owns nothing but its options.
#[derive(Debug)]
pub(super) struct HuggingFace {
    calls: Calls,
    options: HuggingFaceOptions,
    disk: DiskPool,
}

impl HuggingFace {
    pub(super) fn new(options: HuggingFaceOptions, api: ApiClient, disk: DiskPool) -> Result<Self, FetchError> {
        let endpoint = super::base(&options.endpoint, PROVIDER)?;
        let calls = Calls { endpoint, token: options.token.clone(), api };
        Ok(Self { calls, options, disk })
    }

    pub(super) fn options(&self) -> &HuggingFaceOptions {
        &self.options
    }

    /// Asks what is to come.
    pub(super) async fn resolve(&self, reference: &RepoRef, request: &ModelRequest) -> Result<RemoteModel, FetchError> {
        let revision = reference.revision().unwrap_or(DEFAULT_REVISION);
        let repo = Repo { id: reference.repo_id(), revision, name: request.reference().to_string() };
        let (commit, listed) = self.calls.list(&repo).await?;
        let paths: Vec<_> = listed.iter().map(|file| file.path.clone()).collect();
        let refused = |source| ProviderError::Selection { model: repo.name.clone(), source };
        let legacy = self.options.legacy.clone().or_else(|| request.is_legacy().then(LegacySelection::default));
        let (selection, bytes_max) = match legacy.filter(|_| request.files().is_empty()) {
            Some(options) if options.full_repo => {
                (Selection { files: paths.into_iter().collect(), ..Selection::default() }, None)
            }
            Some(options) => {
                (self.select_legacy(&repo, &commit, &listed, &options).await?, self.options.legacy_bytes_max)
            }
            None => {
                let mut selection = select(&paths, reference.flavor(), request.files()).map_err(refused)?;
                if let Some(flavor) = &selection.absent_flavor {
                    warn!(model = %repo.name, flavor, "no weights have the flavor that was asked for");
                }
                for index in selection.indexes.clone() {
                    let bytes = self.calls.read(&repo, &commit, &index).await?;
                    selection.add_index(&index, &bytes, &paths).map_err(refused)?;
                }
                (selection, self.options.repo_bytes_max)
            }
        };
        let files = self.files(&repo, &commit, listed, &selection).await?;
        check_size(&repo, &files, bytes_max)?;
        let revision = (commit != revision).then(|| revision.parse::<RepoPath>().ok()).flatten();
        let cache = HubCache { hub: self.hub(), repo: repo_dir_name(reference), commit, revision };
        let model = RemoteModel::new(Provider::HuggingFace, repo.name, files, Place::HuggingFace(cache))?;
        Ok(RemoteModel { guards: self.options.guards(), ..model })
    }

    /// What is on disk for `request`, when that is all of it. Never asks anybody.
    pub(super) async fn cached(
        &self,
        reference: &RepoRef,
        request: &ModelRequest,
    ) -> Result<Option<Receipt>, FetchError> {
        // Python workers keep them beside the directory of the library (C-52).
        let roots = [self.hub(), self.options.home.clone()];
        let (reference, patterns) = (reference.clone(), request.files().to_vec());
        let look = move || {
            for repo in roots.map(|root| root.join(repo_dir_name(&reference))) {
                let failed = FetchError::disk("look into the cache of Hugging Face", &repo);
                if let Some(found) = cached::find(&repo, &reference, &patterns).map_err(failed)? {
                    return Ok(Some(found));
                }
            }
            Ok(None)
        };
        self.disk.run(look).await
    }

    fn hub(&self) -> PathBuf {
        self.options.home.join("hub")
    }

    /// The chosen files, each with what says that its bytes are right.
    async fn files(
        &self,
        repo: &Repo<'_>,
        commit: &str,
        listed: Vec<Listed>,
        selection: &Selection,
    ) -> Result<Vec<RemoteFile>, ProviderError> {
        let chosen = listed.into_iter().filter(|file| selection.files.contains(&file.path));
        let files = chosen.map(|file| async move {
            let url = self.calls.file_url(repo, commit, &file.path);
            let (size, expected) = match file.known() {
                Some(known) => known,
                None => self.calls.ask(repo, commit, &url, &file).await?,
            };
            let url = url.as_str().parse().map_err(|_| strange("a file whose address is too long"))?;
            let credential = self.options.token.clone();
            Ok(RemoteFile { path: file.path, size, expected, url, credential })
        });
        stream::iter(files).buffered(QUESTIONS_AT_ONCE).try_collect().await
    }

    /// Chooses by the rules of version 0.3.
    async fn select_legacy(
        &self,
        repo: &Repo<'_>,
        commit: &str,
        listed: &[Listed],
        options: &LegacySelection,
    ) -> Result<Selection, ProviderError> {
        let refused = |source| ProviderError::Selection { model: repo.name.clone(), source };
        let listed: legacy::Sizes = listed.iter().map(|file| (file.path.clone(), file.size())).collect();
        let pipeline = listed.keys().find(|path| path.as_str() == legacy::PIPELINE);
        let pipeline = match pipeline {
            Some(path) => Some(self.calls.read(repo, commit, path).await?),
            None => None,
        };
        let files = legacy::root_files(&listed, options);
        let mut selection = Selection { files, ..Selection::default() };
        for component in legacy::components(&listed, pipeline.as_deref(), options).map_err(refused)? {
            let (mut indexes, mut probes) = (BTreeMap::new(), Vec::new());
            for path in
                component.files(&listed).filter(|path| component.has_weights() && legacy::index_of(path).is_some())
            {
                indexes.insert(path.clone(), self.calls.read(repo, commit, path).await?);
            }
            let candidates = legacy::candidates(&listed, &component, &indexes).map_err(refused)?;
            for candidate in candidates.iter().filter(|_| component.has_weights()) {
                probes.push(match candidate.files.first() {
                    Some(first) => self.calls.probe(repo, commit, first).await?,
                    None => None,
                });
            }
            legacy::add(&mut selection, &listed, &component, &candidates, &probes, options).map_err(refused)?;
        }
        Ok(selection)
    }
}

/// What the library calls the directory of a repository.
fn repo_dir_name(reference: &RepoRef) -> String {
    format!("models--{}--{}", reference.owner(), reference.repo())
}

/// Rule 4.7: where a size is unknown nobody can say.
fn check_size(repo: &Repo<'_>, files: &[RemoteFile], bytes_max: Option<u64>) -> Result<(), ProviderError> {
    let bytes = files.iter().try_fold(0u64, |sum, file| sum.checked_add(file.size.roughly()?));
    match (bytes, bytes_max) {
        (Some(bytes), Some(limit)) if bytes > limit => {
            Err(ProviderError::TooLarge { model: repo.name.clone(), bytes, limit })
        }
        _ => Ok(()),
    }
}

fn strange(what: &'static str) -> ProviderError {
    ProviderError::Strange { provider: PROVIDER, what }
}
