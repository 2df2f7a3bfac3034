//! What is refused, what does not fit, and what leaves (rules 8.6, 8.9, 11.3).

use std::{fs, path::Path, sync::Arc};

use gen_worker_store::{DiskSpace, FetchError, Reach, Store, StoreOptions};
use gen_worker_tasks::Cancel;

use super::{Hub, Kept, REVISION};
use crate::providers::world::{provider_error, safetensors};

#[tokio::test]
async fn m11_3_a_component_with_pickles_only_is_refused_before_it_comes() {
    let hub = Hub::new().await;
    hub.publish(&[
        ("model_index.json", b"{}".to_vec(), Kept::Git),
        ("text_encoder/pytorch_model.bin", b"pickle".to_vec(), Kept::Lfs),
        ("unet/model.safetensors", safetensors(10), Kept::Lfs),
    ]);
    let error = hub.fetch(&hub.0.store().await, "o/r", Reach::Cached).await.map(drop).unwrap_err();
    assert!(matches!(error, FetchError::Format(_)), "{error}");
    assert!(hub.0.elsewhere.asked().is_empty());
}

#[tokio::test]
async fn m8_6_a_repository_leaves_as_a_whole_but_not_while_it_is_used() {
    let hub = Hub::new().await;
    hub.publish_small();
    let store = Store::open(StoreOptions { space: Arc::new(Full), ..hub.0.options() }, &Cancel::new()).await.unwrap();
    let offline = hub.0.store().await;
    hub.fetch(&offline, "o/r", Reach::Cached).await.unwrap();
    let held = hub.fetch(&store, "o/r", Reach::Offline).await.unwrap();
    assert!(store.collect(1).await.unwrap().is_empty());
    assert!(held.dir().join("config.json").exists());
    drop(held);
    let other = hub.repo().with_file_name("models--o--other");
    fs::create_dir(&other).unwrap();
    assert_eq!(store.collect(1).await.unwrap(), ["o/r"]);
    assert!(!hub.repo().exists() && other.exists());
    provider_error(hub.fetch(&store, "o/r", Reach::Offline).await);
}

#[tokio::test]
async fn m8_9_what_does_not_fit_is_not_begun() {
    let hub = Hub::new().await;
    hub.publish_small();
    let store = Store::open(StoreOptions { space: Arc::new(Full), ..hub.0.options() }, &Cancel::new()).await.unwrap();
    let error = hub.fetch(&store, "o/r", Reach::Cached).await.map(drop).unwrap_err();
    assert!(matches!(error, FetchError::InsufficientDisk { .. }), "{error}");
    assert_eq!(hub.0.site.targets(), [REVISION]);
}

/// A disk with nothing left.
struct Full;

impl DiskSpace for Full {
    fn available_bytes(&self, _root: &Path) -> std::io::Result<u64> {
        Ok(0)
    }
}
