//! Models of others: Hugging Face, Civitai and ModelScope (model contract, sections 3 to 5).
//!
//! ```text
//! request ──> provider: list, select ──> remote model: files with addresses and digests ──> store: room, transfers, place
//!    └──────> receipt: what this request got before ──────────────────────────────────────> store: held, no network
//! ```
//! A provider says what there is and where it goes; the bytes come over the downloader that the hub's blobs come over. Owns the
//! connections to the interfaces of the providers, and no files.

mod api_client;
mod civitai;
mod classify;
mod error;
mod hugging_face;
#[cfg(feature = "modelscope")]
mod model_scope;
mod options;
mod pattern;
mod place;
mod receipt;
mod remote;
mod request;

pub use classify::{Classified, Ingest, Refusal, RefusalReason, Strategy, classify};
pub use error::ProviderError;
pub(crate) use hugging_face::is_safe;
pub use hugging_face::{LegacySelection, SelectError};
use hugging_face::{tree_of_files, weights_of_index, without_shard};
pub use options::{CivitaiOptions, HuggingFaceOptions, ModelScopeOptions, ProviderOptions};
pub use request::{ModelRequest, Reach};

pub(crate) use place::{FilePlace, HUB_CACHE_PART_SUFFIX, Place, hub_cache_lock};
pub(crate) use receipt::{Receipt, ReceivedFile};
pub(crate) use remote::{RemoteFile, RemoteModel};

use std::{path::Path, sync::Arc};

use gen_worker_hub::{Blake3Hash, ModelRef};
use reqwest::Url;

use crate::{disk_pool::DiskPool, fetch_error::FetchError};
use api_client::ApiClient;
use civitai::Civitai;
use hugging_face::HuggingFace;
#[cfg(feature = "modelscope")]
use model_scope::ModelScope;

/// The clients of all providers. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Providers(Arc<Clients>);

#[derive(Debug)]
struct Clients {
    hugging_face: HuggingFace,
    civitai: Civitai,
    #[cfg(feature = "modelscope")]
    model_scope: ModelScope,
}

impl Providers {
    /// For the store in `root`.
    pub(crate) fn new(
        options: ProviderOptions,
        root: &Path,
        extra_roots: Option<&[u8]>,
        disk: &DiskPool,
    ) -> Result<Self, FetchError> {
        let api = ApiClient::new(options.connect, options.call, extra_roots)?;
        let clients = Clients {
            #[cfg(feature = "modelscope")]
            model_scope: ModelScope::new(&options.model_scope, root, api.clone())?,
            civitai: Civitai::new(options.civitai, root, api.clone(), disk.clone())?,
            hugging_face: HuggingFace::new(options.hugging_face, api, disk.clone())?,
        };
        Ok(Self(Arc::new(clients)))
    }

    /// What tells `request` from all others, also those under other options: two with one key want the same.
    pub(crate) fn key(&self, request: &ModelRequest) -> String {
        match (request.reference(), &self.0.hugging_face.options().legacy) {
            (ModelRef::HuggingFace(_), Some(legacy)) if request.files().is_empty() => {
                Blake3Hash::of(format!("{}{legacy:?}", request.key()).as_bytes()).to_string()
            }
            _ => request.key(),
        }
    }

    /// What is to be brought for `request`: asks its provider.
    pub(crate) async fn resolve(&self, request: &ModelRequest) -> Result<RemoteModel, FetchError> {
        match request.reference() {
            ModelRef::HuggingFace(reference) => self.0.hugging_face.resolve(reference, request).await,
            ModelRef::Civitai(reference) => Ok(self.0.civitai.resolve(reference, request).await?),
            #[cfg(feature = "modelscope")]
            ModelRef::ModelScope(reference) => Ok(self.0.model_scope.resolve(reference, request).await?),
            other => Err(ProviderError::NotProvided { model: other.to_string() }.into()),
        }
    }

    /// What is on disk for `request` although no receipt says so: what another program has put there.
    pub(crate) async fn found(&self, request: &ModelRequest) -> Result<Option<Receipt>, FetchError> {
        match request.reference() {
            ModelRef::HuggingFace(reference) => self.0.hugging_face.cached(reference, request).await,
            ModelRef::Civitai(reference) => self.0.civitai.cached(reference, request).await,
            _ => Ok(None),
        }
    }
}

/// The address of a provider: of the web, without anything that a path below it would lose.
fn base(text: &str, provider: &'static str) -> Result<Url, ProviderError> {
    let url = Url::parse(text).ok().filter(|url| matches!(url.scheme(), "http" | "https"));
    let url = url.filter(|url| url.query().is_none() && url.fragment().is_none() && url.username().is_empty());
    url.ok_or(ProviderError::Address { provider })
}

/// `base` and `parts` below it, each one part of the path whatever is in it.
fn below<'a>(base: &Url, parts: impl IntoIterator<Item = &'a str>) -> Url {
    let mut url = base.clone();
    if let Ok(mut path) = url.path_segments_mut() {
        path.pop_if_empty().extend(parts);
    }
    url
}
