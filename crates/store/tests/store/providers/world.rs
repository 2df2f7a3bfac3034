//! A store with providers beside it: one server that speaks the interface of all, and one elsewhere that has files.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use gen_worker_store::{
    CivitaiOptions, FetchError, FormatGate, HeldModel, HuggingFaceOptions, ModelRequest, ModelScopeOptions,
    ProviderError, ProviderOptions, Reach, Store, StoreObserver, StoreOptions, TransferOptions,
};
use gen_worker_tasks::Cancel;
use serde_json::json;

use super::site::Site;
use crate::pool::{Events, Heard, bytes};

/// What proves who asks. It must not get elsewhere.
pub const SECRET: &str = "hush";

pub struct World {
    pub dir: tempfile::TempDir,
    pub site: Site,
    pub elsewhere: Site,
    pub events: Arc<Events>,
}

impl World {
    pub async fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        Self { dir, site: Site::start().await, elsewhere: Site::start().await, events: Arc::default() }
    }

    pub fn root(&self) -> PathBuf {
        self.dir.path().join("cas")
    }

    pub fn options(&self) -> StoreOptions {
        let observer = Arc::clone(&self.events) as Arc<dyn StoreObserver>;
        StoreOptions { observer, ..options(self.dir.path(), &self.site.base) }
    }

    pub async fn store(&self) -> Store {
        Store::open(self.options(), &Cancel::new()).await.unwrap()
    }
}

/// Of a store below `dir` whose providers are all at `site`.
pub fn options(dir: &Path, site: &str) -> StoreOptions {
    let wait = Duration::from_millis(1);
    let transfer = TransferOptions { wait_unit: wait, wait_longest: wait, tries: 4, ..TransferOptions::default() };
    let theirs = ProviderOptions::new(dir);
    let hugging_face = HuggingFaceOptions {
        endpoint: site.to_owned(),
        home: dir.join("home"),
        token: Some(SECRET.parse().unwrap()),
        repo_bytes_max: Some(10_000_000),
        ..theirs.hugging_face
    };
    let api = format!("{site}/civitai/api/v1");
    let providers = ProviderOptions {
        hugging_face,
        civitai: CivitaiOptions { api, key: Some(SECRET.parse().unwrap()) },
        model_scope: ModelScopeOptions { endpoint: format!("{site}/ms/") },
        connect: theirs.connect,
        call: theirs.call,
    };
    StoreOptions { transfer, providers, ..StoreOptions::new(dir.join("cas")) }
}

/// Fetches for a caller: only what is safe.
pub async fn fetch(store: &Store, request: &ModelRequest, reach: Reach) -> Result<HeldModel, FetchError> {
    let reference = request.reference().to_string();
    store.fetch_provided(&reference, request, reach, FormatGate::SafeOnly, &Heard::default()).await
}

/// The error of a provider that `result` is.
pub fn provider_error(result: Result<HeldModel, FetchError>) -> Arc<ProviderError> {
    let error = result.map(|held| held.dir().to_owned()).unwrap_err();
    assert!(matches!(error, FetchError::Provider(_)), "{error}");
    let FetchError::Provider(error) = error else { unreachable!("was asserted") };
    let shown = format!("{error:?} {error}");
    assert!(!shown.contains(SECRET), "{shown}");
    error
}

/// A safetensors file with `len` bytes of data.
pub fn safetensors(len: usize) -> Vec<u8> {
    let header = json!({"w": {"dtype": "U8", "shape": [len], "data_offsets": [0, len]}}).to_string();
    let mut file = (header.len() as u64).to_le_bytes().to_vec();
    file.extend(header.as_bytes());
    file.extend(bytes(len));
    file
}
