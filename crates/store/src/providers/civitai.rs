//! Civitai: the safetensors files of one version of a model (model contract, section 5).

mod version;

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use gen_worker_hub::{BearerToken, RepoPath, binding::Provider, model_ref::CivitaiRef};
use reqwest::Url;
use serde_json::json;

use super::{
    CivitaiOptions, ModelRequest, Place, ProviderError, Receipt, RemoteFile, RemoteModel, SelectError,
    api_client::{ApiClient, CallError},
    is_safe,
    place::Directory,
    receipt::ReceivedFile,
};
use crate::{
    disk_pool::DiskPool,
    fetch_error::FetchError,
    layout::{CIVITAI_DIR, PART_SUFFIX},
};
use version::{Model, Version};

/// As errors call it.
const PROVIDER: &str = "civitai";

/// What is written beside the files.
const NOTE: &str = ".civitai.json";

/// Hosts that the key may go to (rule 5.2).
const HOSTS: [&str; 3] = ["civitai.com", "www.civitai.com", "api.civitai.com"];

/// The client. Owns nothing but its options.
#[derive(Debug)]
pub(super) struct Civitai {
    base: Url,
    key: Option<BearerToken>,
    root: PathBuf,
    api: ApiClient,
    disk: DiskPool,
}

impl Civitai {
    pub(super) fn new(
        options: CivitaiOptions,
        root: &Path,
        api: ApiClient,
        disk: DiskPool,
    ) -> Result<Self, ProviderError> {
        let base = super::base(&options.api, PROVIDER)?;
        Ok(Self { base, key: options.key, root: root.to_owned(), api, disk })
    }

    /// Asks what is to come: of the pinned version, or of the newest of the model (rule 5.6).
    pub(super) async fn resolve(
        &self,
        reference: &CivitaiRef,
        request: &ModelRequest,
    ) -> Result<RemoteModel, ProviderError> {
        let name = reference.to_string();
        let id = id_of(reference)?;
        let id = if request.is_newest() { self.newest(&name, id).await? } else { id.to_owned() };
        let version: Version = self.document(&name, ["model-versions", &id]).await?;
        let (mut files, model_id) = (Vec::new(), version.model_id());
        for file in version.files().map_err(strange)? {
            let url = Url::parse(&file.url).map_err(|_| strange("a file without an address"))?;
            let url_text = url.as_str().parse().map_err(|_| strange("a file without an address"))?;
            let credential = self.key.clone().filter(|_| may_have_key(&self.base, &url));
            let (size, expected) = (file.size, file.expected);
            files.push(RemoteFile { path: file.path, size, expected, url: url_text, credential });
        }
        if files.is_empty() {
            return Err(ProviderError::Selection { model: name, source: SelectError::NoSupportedFiles });
        }
        let listed: Vec<_> = files.iter().map(|file| file.path.as_str()).collect();
        let note = json!({"version_id": id, "model_id": model_id, "files": listed}).to_string();
        let note = NOTE.parse().ok().map(|path: RepoPath| (path, note.into_bytes()));
        let (root, dir) = (self.root.clone(), self.dir(&id));
        let place = Place::Directory(Directory { root, dir, note, single: true });
        RemoteModel::new(Provider::Civitai, name, files, place)
    }

    /// What is on disk of a pinned version, when no file of it is on its way.
    pub(super) async fn cached(
        &self,
        reference: &CivitaiRef,
        request: &ModelRequest,
    ) -> Result<Option<Receipt>, FetchError> {
        let Some(id) = id_of(reference).ok().filter(|_| !request.is_newest()) else { return Ok(None) };
        let dir = self.dir(id);
        let failed = FetchError::disk("look for a version", &dir);
        self.disk.run(move || find(dir).map_err(failed)).await
    }

    async fn newest(&self, name: &str, model: &str) -> Result<String, ProviderError> {
        let found: Model = self.document(name, ["models", model]).await?;
        found.newest().ok_or_else(|| ProviderError::Empty { model: name.to_owned() })
    }

    async fn document<T: serde::de::DeserializeOwned>(&self, model: &str, path: [&str; 2]) -> Result<T, ProviderError> {
        let url = super::below(&self.base, path);
        let key = self.key.as_ref().filter(|_| may_have_key(&self.base, &url));
        let answer = self.api.document(&url, key).await;
        answer.map(|document| document.value).map_err(|error| self.refusal(model, error))
    }

    fn refusal(&self, model: &str, error: CallError) -> ProviderError {
        let (model, with_credential) = (model.to_owned(), self.key.is_some());
        match error {
            CallError::Status { status: 401 | 403, .. } => ProviderError::Denied {
                model,
                with_credential,
                help: "give a key of an account that may download it (CIVITAI_API_KEY)".to_owned(),
                code: ACCESS_DENIED,
            },
            CallError::Status { status: 404, .. } => {
                ProviderError::NotFound { model, with_credential, code: NOT_FOUND }
            }
            error => error.of(PROVIDER),
        }
    }

    fn dir(&self, version: &str) -> PathBuf {
        self.root.join(CIVITAI_DIR).join(version)
    }
}

/// What a refusal of its server is called outside (rule 5.1).
pub(super) const ACCESS_DENIED: &str = "civitai_access_denied";
pub(super) const NOT_FOUND: &str = "civitai_not_found";

/// Whether the key may go to `url`: never over a connection that others can read, but to the server of the options, `base`, which
/// whoever set them chose.
fn may_have_key(base: &Url, url: &Url) -> bool {
    let known = url.scheme() == "https" && url.host_str().is_some_and(|host| HOSTS.contains(&host));
    known || url.origin() == base.origin()
}

fn id_of(reference: &CivitaiRef) -> Result<&str, ProviderError> {
    reference.version_id().map_err(|source| ProviderError::Reference { model: reference.to_string(), source })
}

/// The files of a version in `dir`.
fn find(dir: PathBuf) -> io::Result<Option<Receipt>> {
    let entries = match fs::read_dir(&dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let mut files = Vec::new();
    for entry in entries {
        let entry = entry?;
        let name = entry.file_name();
        let Some(name) = name.to_str() else { continue };
        if name.ends_with(PART_SUFFIX) {
            return Ok(None);
        }
        let Ok(path) = name.parse::<RepoPath>() else { continue };
        if is_safe(&path) && entry.file_type()?.is_file() {
            files.push(ReceivedFile::found(path, entry.metadata()?.len()));
        }
    }
    files.sort_by(|a, b| a.path.cmp(&b.path));
    let receipt = Receipt { within: dir.clone(), dir, single: files.len() == 1, files };
    Ok(receipt.is_whole().then_some(receipt))
}

fn strange(what: &'static str) -> ProviderError {
    ProviderError::Strange { provider: PROVIDER, what }
}

#[cfg(test)]
mod tests;
