//! Files that only a bucket has: fetched with signed requests from the real hub, which checks every signature.

use std::path::Path;

use gen_worker_hub::{
    Blake3Hash,
    api::{FileSource, Resolved, ResolvedFile, TransferGrant, UploadPlace},
    client::UploadTarget,
    token::ByteLimits,
};
use gen_worker_store::{
    FetchError, FetchFailure, FormatGate, Layout, Store, StoreOptions, TransferOptions, TreeError, Unheard, Upload,
    UploadContent,
};
use gen_worker_tasks::Cancel;

use crate::hub_server::{Served, served};

/// The object that has `content`, and leave to read it.
async fn granted(served: &Served, content: &[u8]) -> TransferGrant {
    let place = UploadPlace::media("a.bin").unwrap();
    let target = UploadTarget::Media { owner: "acme".to_owned() };
    let upload = Upload::new(target, place, UploadContent::Bytes(content.to_vec().into()));
    let file = served.uploader.upload(&served.client, upload).await.unwrap();
    served.hub.read_grant(file.blake3).unwrap()
}

fn tree(content: &[u8], grant: TransferGrant) -> Resolved {
    let file = ResolvedFile {
        path: "text".parse().unwrap(),
        size_bytes: content.len() as u64,
        blake3: Blake3Hash::of(content),
        source: FileSource::TransferGrant(grant),
    };
    Resolved { snapshot: "tree".parse().unwrap(), files: vec![file], sibling_flavors: Vec::new() }
}

async fn store(directory: &Path) -> Store {
    let transfer = TransferOptions { tries: 1, ..TransferOptions::default() };
    let options = StoreOptions { transfer, ..StoreOptions::new(directory.join("store")) };
    Store::open(options, &Cancel::new()).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn h4_28_m6_9_a_grant_brings_a_file_that_only_a_bucket_has_and_goes_on_with_its_part() {
    let directory = tempfile::tempdir().unwrap();
    let served = served(directory.path(), ByteLimits::default()).await;
    let content: Vec<u8> = (0..30_000_u32).map(|at| (at % 251) as u8).collect();
    let tree = tree(&content, granted(&served, &content).await);
    let store = store(directory.path()).await;
    let part = Layout::new(directory.path().join("store")).part(Blake3Hash::of(&content));
    std::fs::create_dir_all(part.parent().unwrap()).unwrap();
    std::fs::write(&part, &content[..10_000]).unwrap();
    let held = store.fetch("acme/model", &tree, FormatGate::Any, &Unheard).await.unwrap();
    assert_eq!(std::fs::read(held.dir().join("text")).unwrap(), content);
    assert!(!part.exists());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn h4_28_a_grant_that_signs_wrongly_or_brings_other_bytes_leaves_no_file() {
    let directory = tempfile::tempdir().unwrap();
    let served = served(directory.path(), ByteLimits::default()).await;
    let grant = granted(&served, b"some words").await;
    let store = store(directory.path()).await;
    let wrong = TransferGrant { secret_access_key: "hush".to_owned(), ..grant.clone() };
    let error = store.fetch("a/b", &tree(b"some words", wrong), FormatGate::Any, &Unheard).await.unwrap_err();
    assert_eq!(error.failure(), FetchFailure::UrlExpired, "{error:?}");
    assert!(!format!("{error:?}").contains("hush"), "{error:?}");
    let error = store.fetch("a/b", &tree(b"more words", grant.clone()), FormatGate::Any, &Unheard).await.unwrap_err();
    assert_eq!(error.failure(), FetchFailure::DigestMismatch, "{error:?}");
    let nowhere = TransferGrant { key: "../other".to_owned(), ..grant };
    let error = store.fetch("a/b", &tree(b"some words", nowhere), FormatGate::Any, &Unheard).await.unwrap_err();
    assert!(matches!(error, FetchError::Tree(TreeError::Grant(_))), "{error:?}");
}
