use std::sync::Arc;

use super::*;
use crate::metadata::{Reader, UploadOwner, testing};

#[tokio::test]
async fn the_store_does_what_the_seam_promises() {
    let directory = tempfile::tempdir().unwrap();
    let scope = Scope::new("test");
    let number = std::sync::atomic::AtomicU32::new(0);
    testing::conformance(|| async {
        let name = format!("{}.db", number.fetch_add(1, std::sync::atomic::Ordering::SeqCst));
        let store: Arc<dyn Metadata> = Arc::new(SqliteMetadata::open(&directory.path().join(name), &scope).unwrap());
        store
    })
    .await;
}

#[tokio::test]
async fn one_process_owns_the_file_and_another_finds_what_it_left() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("hub.db");
    let scope = Scope::new("first");
    let store = SqliteMetadata::open(&path, &scope).unwrap();
    let new = NewUpload {
        id: "u1".parse().unwrap(),
        owner: UploadOwner::Media { owner: "acme".to_owned(), reference: "a".to_owned(), create: false },
        blake3: Blake3Hash::of(b"one"),
        size_bytes: 3,
        mime_type: "text/plain".to_owned(),
        expires_s: 100,
    };
    store.open_upload(new.clone(), Author::unlimited(Reader::Anyone), 1).await.unwrap();
    assert!(matches!(SqliteMetadata::open(&path, &scope), Err(OpenError::InUse)));
    drop(store);
    scope.join(std::time::Duration::from_secs(60)).await;
    let scope = Scope::new("second");
    let store = SqliteMetadata::open(&path, &scope).unwrap();
    assert_eq!(store.upload(new.id.clone(), 1).await.unwrap().unwrap().new, new);
}

#[test]
fn a_file_of_another_program_or_of_a_newer_version_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let scope = Scope::new("test");
    let path = directory.path().join("other.db");
    rusqlite::Connection::open(&path).unwrap().execute_batch("CREATE TABLE t (a)").unwrap();
    assert!(matches!(SqliteMetadata::open(&path, &scope), Err(OpenError::Foreign)));
    std::fs::write(directory.path().join("text"), "no database, and long enough to be sure of it".repeat(100)).unwrap();
    assert!(matches!(SqliteMetadata::open(&directory.path().join("text"), &scope), Err(OpenError::Foreign)));
    let path = directory.path().join("newer.db");
    drop(open::open(&path).unwrap());
    rusqlite::Connection::open(&path).unwrap().pragma_update(None, "user_version", 99).unwrap();
    assert!(matches!(SqliteMetadata::open(&path, &scope), Err(OpenError::Newer { found: 99, .. })));
}
