//! ModelScope: the files of a repository at a revision, over its file interface (rule 5.7).

use std::path::{Path, PathBuf};

use gen_worker_hub::{
    Blake3Hash, RepoPath, binding::Provider, digest::DigestAlgorithm, model_ref::RepoRef, snapshot::SNAPSHOT_FILES_MAX,
};
use reqwest::Url;
use serde::Deserialize;

use super::{
    ModelRequest, ModelScopeOptions, Place, ProviderError, RemoteFile, RemoteModel, SelectError,
    api_client::{ApiClient, CallError},
    pattern,
    place::Directory,
};
use crate::{
    layout::MODEL_SCOPE_DIR,
    wanted::{Expected, Size},
};

/// As errors call it.
const PROVIDER: &str = "modelscope";

/// The revision of who names none.
const DEFAULT_REVISION: &str = "master";

/// The client. Owns nothing but its options.
#[derive(Debug)]
pub(super) struct ModelScope {
    endpoint: Url,
    root: PathBuf,
    api: ApiClient,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Answer {
    data: Option<Data>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Data {
    #[serde(default)]
    files: Vec<Entry>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Entry {
    path: String,
    #[serde(rename = "Type")]
    kind: String,
    size: Option<u64>,
    sha256: Option<String>,
}

impl ModelScope {
    pub(super) fn new(options: &ModelScopeOptions, root: &Path, api: ApiClient) -> Result<Self, ProviderError> {
        Ok(Self { endpoint: super::base(&options.endpoint, PROVIDER)?, root: root.to_owned(), api })
    }

    /// Asks what is to come: the files that match the patterns, or all.
    pub(super) async fn resolve(
        &self,
        reference: &RepoRef,
        request: &ModelRequest,
    ) -> Result<RemoteModel, ProviderError> {
        let name = reference.to_string();
        let revision = reference.revision().unwrap_or(DEFAULT_REVISION);
        let mut url = self.url(reference, &["repo", "files"]);
        url.query_pairs_mut().append_pair("Revision", revision).append_pair("Recursive", "true");
        let answer = self.api.document::<Answer>(&url, None).await;
        let answer = answer.map_err(|error| refusal(&name, revision, error))?.value;
        let entries = answer.data.ok_or_else(|| strange("no files"))?.files;
        if entries.len() > SNAPSHOT_FILES_MAX {
            return Err(strange("more files than a model may have"));
        }
        let mut files = Vec::new();
        for entry in entries.into_iter().filter(|entry| entry.kind == "blob") {
            files.push(self.file(reference, revision, &name, entry)?);
        }
        let place = self.place(reference, &files);
        let patterns = request.files();
        if !patterns.is_empty() {
            files.retain(|file| patterns.iter().any(|pattern| pattern::matches(pattern, &file.path)));
            if files.is_empty() {
                let source = SelectError::NoMatch(patterns.to_vec());
                return Err(ProviderError::Selection { model: name, source });
            }
        }
        RemoteModel::new(Provider::ModelScope, name, files, place)
    }

    fn file(
        &self,
        reference: &RepoRef,
        revision: &str,
        model: &str,
        entry: Entry,
    ) -> Result<RemoteFile, ProviderError> {
        let path: RepoPath =
            entry.path.parse().map_err(|source| ProviderError::Path { model: model.to_owned(), source })?;
        let expected = match entry.sha256.filter(|hex| !hex.is_empty()) {
            Some(hex) => {
                let digest = format!("{}:{hex}", DigestAlgorithm::Sha256.as_str()).parse();
                Expected::Digest(digest.map_err(|_| strange("a file whose hash is none"))?)
            }
            None => Expected::Unsaid,
        };
        let mut url = self.url(reference, &["repo"]);
        url.query_pairs_mut().append_pair("Revision", revision).append_pair("FilePath", path.as_str());
        let url = url.as_str().parse().map_err(|_| strange("a file whose address is too long"))?;
        let size = entry.size.map_or(Size::Unknown, Size::Exactly);
        Ok(RemoteFile { path, size, expected, url, credential: None })
    }

    /// A directory for what the whole repository is: a branch that moves gets another, and whoever uses the old one keeps it. Those
    /// who want other files of the same share it.
    fn place(&self, reference: &RepoRef, files: &[RemoteFile]) -> Place {
        let mut lines: Vec<_> =
            files.iter().map(|file| format!("{}\0{:?}\0{:?}\n", file.path, file.size, file.expected)).collect();
        lines.sort();
        let content = Blake3Hash::of(lines.concat().as_bytes()).to_string();
        let dir = self.root.join(MODEL_SCOPE_DIR).join(reference.owner()).join(reference.repo()).join(content);
        Place::Directory(Directory { root: self.root.clone(), dir, note: None, single: false })
    }

    fn url(&self, reference: &RepoRef, rest: &[&str]) -> Url {
        let path = ["api", "v1", "models", reference.owner(), reference.repo()];
        super::below(&self.endpoint, path.into_iter().chain(rest.iter().copied()))
    }
}

fn refusal(model: &str, revision: &str, error: CallError) -> ProviderError {
    let model = model.to_owned();
    match error {
        CallError::Status { status: 401 | 403, .. } => ProviderError::Denied {
            model,
            with_credential: false,
            help: "only public models of this provider can be downloaded".to_owned(),
            code: "modelscope_access_denied",
        },
        CallError::Status { status: 404, .. } if revision == DEFAULT_REVISION => {
            ProviderError::NotFound { model, with_credential: false, code: "modelscope_not_found" }
        }
        CallError::Status { status: 404, .. } => ProviderError::Revision { model, revision: revision.to_owned() },
        error => error.of(PROVIDER),
    }
}

fn strange(what: &'static str) -> ProviderError {
    ProviderError::Strange { provider: PROVIDER, what }
}
