//! Hugging Face: what a repository has at a revision, which of it is chosen, and where it goes (model contract, section 4).
//!
//! Everything after the first call names the commit and not the revision: a push in between does not mix two trees.

mod cached;
mod legacy;
mod listing;
mod select;

pub use legacy::LegacySelection;
pub(crate) use select::is_safe;
pub use select::{SelectError, select};

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
};

use futures::{StreamExt as _, TryStreamExt as _, stream};
use gen_worker_hub::{RepoPath, binding::Provider, model_ref::RepoRef};
use reqwest::Url;
use tracing::warn;

use super::{
    HuggingFaceOptions, ModelRequest, Place, ProviderError, Receipt, RemoteFile, RemoteModel,
    api_client::{ApiClient, CallError},
    place::HubCache,
};
use crate::{
    disk_pool::DiskPool,
    fetch_error::FetchError,
    wanted::{Expected, Size},
};
use listing::{Listed, Repository, TreeEntry};
use select::Selection;

/// As errors call it.
const PROVIDER: &str = "hugging face";

/// What a refusal of its server is called outside.
pub(super) const ACCESS_DENIED: &str = "hf_access_denied";
pub(super) const NOT_FOUND: &str = "hf_not_found";

/// The revision of who names none.
const DEFAULT_REVISION: &str = "main";

/// Pages of a listing: a hundred thousand files, some hundreds on each.
const PAGES_MAX: usize = 1000;

/// Questions about single files that are asked at once.
const QUESTIONS_AT_ONCE: usize = 4;

/// Largest index of weights: a million tensors.
const INDEX_BYTES_MAX: usize = 64 * 1024 * 1024;

/// The client. Owns nothing but its options.
#[derive(Debug)]
pub(super) struct HuggingFace {
    endpoint: Url,
    options: HuggingFaceOptions,
    api: ApiClient,
    disk: DiskPool,
}

/// One repository that is asked for.
struct Repo<'a> {
    id: String,
    revision: &'a str,
    name: String,
}

impl HuggingFace {
    pub(super) fn new(options: HuggingFaceOptions, api: ApiClient, disk: DiskPool) -> Result<Self, FetchError> {
        let endpoint = super::base(&options.endpoint, PROVIDER)?;
        Ok(Self { endpoint, options, api, disk })
    }

    pub(super) fn options(&self) -> &HuggingFaceOptions {
        &self.options
    }

    /// Asks what is to come.
    pub(super) async fn resolve(&self, reference: &RepoRef, request: &ModelRequest) -> Result<RemoteModel, FetchError> {
        let revision = reference.revision().unwrap_or(DEFAULT_REVISION);
        let repo = Repo { id: reference.repo_id(), revision, name: request.reference().to_string() };
        let (commit, listed) = self.list(&repo).await?;
        let paths: Vec<_> = listed.iter().map(|file| file.path.clone()).collect();
        let refused = |source| ProviderError::Selection { model: repo.name.clone(), source };
        let legacy = self.options.legacy.clone().or_else(|| request.is_legacy().then(LegacySelection::default));
        let (selection, bytes_max) = match legacy.filter(|_| request.files().is_empty()) {
            Some(options) if options.full_repo => {
                (Selection { files: paths.into_iter().collect(), ..Selection::default() }, None)
            }
            Some(options) => (self.select_legacy(&repo, &commit, &listed, &options).await?, Some(legacy::BYTES_MAX)),
            None => {
                let mut selection = select(&paths, reference.flavor(), request.files()).map_err(refused)?;
                if let Some(flavor) = &selection.absent_flavor {
                    warn!(model = %repo.name, flavor, "no weights have the flavor that was asked for");
                }
                for index in selection.indexes.clone() {
                    let bytes = self.read(&repo, &commit, &index).await?;
                    selection.add_index(&index, &bytes, &paths).map_err(refused)?;
                }
                (selection, self.options.repo_bytes_max)
            }
        };
        let files = self.files(&repo, &commit, listed, &selection).await?;
        check_size(&repo, &files, bytes_max)?;
        let revision = (commit != revision).then(|| revision.parse::<RepoPath>().ok()).flatten();
        let cache = HubCache { hub: self.hub(), repo: repo_dir_name(reference), commit, revision };
        Ok(RemoteModel::new(Provider::HuggingFace, repo.name, files, Place::HuggingFace(cache))?)
    }

    /// What is on disk for `request`, when that is all of it. Never asks anybody.
    pub(super) async fn cached(
        &self,
        reference: &RepoRef,
        request: &ModelRequest,
    ) -> Result<Option<Receipt>, FetchError> {
        let (repo, reference) = (self.hub().join(repo_dir_name(reference)), reference.clone());
        let patterns = request.files().to_vec();
        let failed = FetchError::disk("look into the cache of Hugging Face", &repo);
        self.disk.run(move || cached::find(&repo, &reference, &patterns).map_err(failed)).await
    }

    fn hub(&self) -> PathBuf {
        self.options.home.join("hub")
    }

    /// The commit that the revision is, and its files.
    async fn list(&self, repo: &Repo<'_>) -> Result<(String, Vec<Listed>), ProviderError> {
        let mut url = self.api_url(repo, &["revision", repo.revision]);
        url.set_query(Some("blobs=true"));
        let answer = self.api.document::<Repository>(&url, self.options.token.as_ref()).await;
        let repository = match answer {
            Ok(document) => document.value,
            Err(error) => return Err(self.refusal(repo, error).await),
        };
        let commit = repository.commit().ok_or_else(|| strange("no commit"))?;
        if let Some(files) = repository.listed(&repo.name)? {
            return Ok((commit, files));
        }
        // Some servers say names only: then the tree is read page by page.
        let files = self.tree(repo, &commit).await?;
        Ok((commit, files))
    }

    async fn tree(&self, repo: &Repo<'_>, commit: &str) -> Result<Vec<Listed>, ProviderError> {
        let mut url = self.api_url(repo, &["tree", commit]);
        url.set_query(Some("recursive=true"));
        let (mut files, mut next) = (BTreeMap::new(), Some(url));
        for _ in 0..PAGES_MAX {
            let Some(url) = next.take() else { return Ok(files.into_values().collect()) };
            let page = self.api.document::<Vec<TreeEntry>>(&url, self.options.token.as_ref()).await;
            let asked = url;
            let page = match page {
                Ok(page) => page,
                Err(error) => return Err(self.refusal(repo, error).await),
            };
            for entry in page.value {
                if let Some(file) = entry.listed(&repo.name)? {
                    files.insert(file.path.clone(), file);
                }
            }
            listing::check_count(files.len())?;
            next = page.next;
            if next.as_ref() == Some(&asked) {
                break;
            }
        }
        Err(strange("a listing without an end"))
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
            let url = self.file_url(repo, commit, &file.path);
            let (size, expected) = match file.known() {
                Some(known) => known,
                None => self.ask(repo, commit, &url, &file).await?,
            };
            let url = url.as_str().parse().map_err(|_| strange("a file whose address is too long"))?;
            let credential = self.options.token.clone();
            Ok(RemoteFile { path: file.path, size, expected, url, credential })
        });
        stream::iter(files).buffered(QUESTIONS_AT_ONCE).try_collect().await
    }

    /// Size and hash of a file that the listing says too little of.
    async fn ask(
        &self,
        repo: &Repo<'_>,
        commit: &str,
        url: &Url,
        file: &Listed,
    ) -> Result<(Size, Expected), ProviderError> {
        let headers = self.api.head(url, self.options.token.as_ref()).await.map_err(|error| match error {
            CallError::Status { status, .. } if status < 500 && status != 408 => refused(repo, &file.path, status),
            error => error.of(PROVIDER),
        })?;
        listing::of_headers(&headers, commit)
    }

    /// A small file of the repository.
    async fn read(&self, repo: &Repo<'_>, commit: &str, path: &RepoPath) -> Result<Vec<u8>, ProviderError> {
        let url = self.file_url(repo, commit, path);
        let bytes = self.api.bytes(&url, self.options.token.as_ref(), 0, INDEX_BYTES_MAX).await;
        bytes.map_err(|error| match error {
            CallError::Status { status, .. } if status < 500 && status != 408 => refused(repo, path, status),
            error => error.of(PROVIDER),
        })
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
            Some(path) => Some(self.read(repo, commit, path).await?),
            None => None,
        };
        let files = legacy::root_files(&listed, options);
        let mut selection = Selection { files, ..Selection::default() };
        for component in legacy::components(&listed, pipeline.as_deref(), options).map_err(refused)? {
            let (mut indexes, mut probes) = (BTreeMap::new(), Vec::new());
            for path in
                component.files(&listed).filter(|path| component.has_weights() && legacy::index_of(path).is_some())
            {
                indexes.insert(path.clone(), self.read(repo, commit, path).await?);
            }
            let candidates = legacy::candidates(&listed, &component, &indexes).map_err(refused)?;
            for candidate in candidates.iter().filter(|_| component.has_weights()) {
                probes.push(match candidate.files.first() {
                    Some(first) => self.probe(repo, commit, first).await?,
                    None => None,
                });
            }
            legacy::add(&mut selection, &listed, &component, &candidates, &probes, options).map_err(refused)?;
        }
        Ok(selection)
    }

    /// The number formats of a file, by two reads of ranges; none when the server does not give them.
    async fn probe(
        &self,
        repo: &Repo<'_>,
        commit: &str,
        path: &RepoPath,
    ) -> Result<Option<BTreeSet<String>>, ProviderError> {
        let url = self.file_url(repo, commit, path);
        let token = self.options.token.as_ref();
        let read = async {
            let length = self.api.bytes(&url, token, 0, 8).await?;
            let length = <[u8; 8]>::try_from(length.as_slice()).map(u64::from_le_bytes).ok();
            let Some(length) = length.filter(|length| (1..=legacy::HEADER_BYTES_MAX).contains(length)) else {
                return Ok(None);
            };
            let length = usize::try_from(length).map_err(|_| CallError::Strange("a header larger than the memory"))?;
            Ok(legacy::dtypes(&self.api.bytes(&url, token, 8, length).await?))
        };
        match read.await {
            Ok(dtypes) => Ok(dtypes),
            Err(CallError::Strange(_)) => Ok(None),
            Err(CallError::Status { status, .. }) if status < 500 && status != 408 => Ok(None),
            // It would be another choice the next time.
            Err(error) => Err(error.of(PROVIDER)),
        }
    }

    /// What it means that a repository is not shown.
    async fn refusal(&self, repo: &Repo<'_>, error: CallError) -> ProviderError {
        let CallError::Status { status, code } = &error else { return error.of(PROVIDER) };
        let (model, with_credential) = (repo.name.clone(), self.options.token.is_some());
        let gone = || ProviderError::NotFound { model: model.clone(), with_credential, code: NOT_FOUND };
        let revision = || ProviderError::Revision { model: model.clone(), revision: repo.revision.to_owned() };
        match (status, code.as_deref()) {
            (_, Some("RevisionNotFound")) => revision(),
            (_, Some("RepoNotFound")) => gone(),
            (401 | 403, _) => {
                let page = format!("{}/{}", self.options.endpoint.trim_end_matches('/'), repo.id);
                let help = format!("accept its terms at {page} and give a token that may read it (HF_TOKEN)");
                ProviderError::Denied { model, with_credential, help, code: ACCESS_DENIED }
            }
            (404, None) => {
                // A server that does not say which of both it is: is the repository there at all?
                let url = self.api_url(repo, &[]);
                match self.api.document::<serde_json::Value>(&url, self.options.token.as_ref()).await {
                    Ok(_) => revision(),
                    Err(_) => gone(),
                }
            }
            (404 | 410, _) => gone(),
            _ => error.of(PROVIDER),
        }
    }

    fn api_url(&self, repo: &Repo<'_>, rest: &[&str]) -> Url {
        let (owner, name) = repo.id.split_once('/').unwrap_or((&repo.id, ""));
        super::below(&self.endpoint, ["api", "models", owner, name].into_iter().chain(rest.iter().copied()))
    }

    fn file_url(&self, repo: &Repo<'_>, commit: &str, path: &RepoPath) -> Url {
        let (owner, name) = repo.id.split_once('/').unwrap_or((&repo.id, ""));
        super::below(&self.endpoint, [owner, name, "resolve", commit].into_iter().chain(path.as_str().split('/')))
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

fn refused(repo: &Repo<'_>, file: &RepoPath, status: u16) -> ProviderError {
    let (model, file) = (repo.name.clone(), file.clone());
    ProviderError::Refused { provider: Provider::HuggingFace, model, file, status }
}

fn strange(what: &'static str) -> ProviderError {
    ProviderError::Strange { provider: PROVIDER, what }
}
