//! The calls of Hugging Face: what a repository has, and what is in its small files. Owns the connections and the token.

use std::collections::{BTreeMap, BTreeSet};

use gen_worker_hub::{BearerToken, RepoPath, binding::Provider};
use reqwest::Url;

use super::{
    ACCESS_DENIED, NOT_FOUND, PROVIDER, ProviderError, legacy,
    listing::{self, Listed, Repository, TreeEntry},
    strange,
};
use crate::{
    providers::{
        api_client::{ApiClient, CallError},
        below,
    },
    wanted::{Expected, Size},
};

/// Pages of a listing: a hundred thousand files, some hundreds on each.
const PAGES_MAX: usize = 1000;

/// Largest index of weights: a million tensors.
pub(super) const INDEX_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Makes the calls.
#[derive(Debug)]
pub(super) struct Calls {
    pub(super) endpoint: Url,
    pub(super) token: Option<BearerToken>,
    pub(super) api: ApiClient,
}

/// One repository that is asked for.
pub(super) struct Repo<'a> {
    pub(super) id: String,
    pub(super) revision: &'a str,
    /// As errors name it.
    pub(super) name: String,
}

impl Calls {
    /// The commit that the revision is, and its files.
    pub(super) async fn list(&self, repo: &Repo<'_>) -> Result<(String, Vec<Listed>), ProviderError> {
        let mut url = self.api_url(repo, &["revision", repo.revision]);
        url.set_query(Some("blobs=true"));
        let answer = self.api.document::<Repository>(&url, self.token.as_ref()).await;
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
            let page = self.api.document::<Vec<TreeEntry>>(&url, self.token.as_ref()).await;
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

    /// Size and hash of a file that the listing says too little of.
    pub(super) async fn ask(
        &self,
        repo: &Repo<'_>,
        commit: &str,
        url: &Url,
        file: &Listed,
    ) -> Result<(Size, Expected), ProviderError> {
        let headers = self.api.head(url, self.token.as_ref()).await.map_err(|error| match error {
            CallError::Status { status, .. } if status < 500 && status != 408 => refused(repo, &file.path, status),
            error => error.of(PROVIDER),
        })?;
        listing::of_headers(&headers, commit)
    }

    /// A small file of the repository.
    pub(super) async fn read(&self, repo: &Repo<'_>, commit: &str, path: &RepoPath) -> Result<Vec<u8>, ProviderError> {
        let url = self.file_url(repo, commit, path);
        let bytes = self.api.bytes(&url, self.token.as_ref(), 0, INDEX_BYTES_MAX).await;
        bytes.map_err(|error| match error {
            CallError::Status { status, .. } if status < 500 && status != 408 => refused(repo, path, status),
            error => error.of(PROVIDER),
        })
    }

    /// The number formats of a file, by two reads of ranges; none when the server does not give them.
    pub(super) async fn probe(
        &self,
        repo: &Repo<'_>,
        commit: &str,
        path: &RepoPath,
    ) -> Result<Option<BTreeSet<String>>, ProviderError> {
        let url = self.file_url(repo, commit, path);
        let token = self.token.as_ref();
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
        let (model, with_credential) = (repo.name.clone(), self.token.is_some());
        let gone = || ProviderError::NotFound { model: model.clone(), with_credential, code: NOT_FOUND };
        let revision = || ProviderError::Revision { model: model.clone(), revision: repo.revision.to_owned() };
        match (status, code.as_deref()) {
            (_, Some("RevisionNotFound")) => revision(),
            (_, Some("RepoNotFound")) => gone(),
            (401 | 403, _) => {
                let page = format!("{}/{}", self.endpoint.as_str().trim_end_matches('/'), repo.id);
                let help = format!("accept its terms at {page} and give a token that may read it (HF_TOKEN)");
                ProviderError::Denied { model, with_credential, help, code: ACCESS_DENIED }
            }
            (404, None) => {
                // A server that does not say which of both it is: is the repository there at all?
                let url = self.api_url(repo, &[]);
                match self.api.document::<serde_json::Value>(&url, self.token.as_ref()).await {
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
        below(&self.endpoint, ["api", "models", owner, name].into_iter().chain(rest.iter().copied()))
    }

    pub(super) fn file_url(&self, repo: &Repo<'_>, commit: &str, path: &RepoPath) -> Url {
        let (owner, name) = repo.id.split_once('/').unwrap_or((&repo.id, ""));
        below(&self.endpoint, [owner, name, "resolve", commit].into_iter().chain(path.as_str().split('/')))
    }
}

fn refused(repo: &Repo<'_>, file: &RepoPath, status: u16) -> ProviderError {
    let (model, file) = (repo.name.clone(), file.clone());
    ProviderError::Refused { provider: Provider::HuggingFace, model, file, status }
}
