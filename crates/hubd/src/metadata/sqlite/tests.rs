use std::sync::Arc;

use gen_worker_hub::api::{CommitCreate, CommitMode, CommitOperation};

use super::*;
use crate::metadata::{Reader, UploadOwner, testing};

mod full;

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

#[tokio::test]
async fn reads_do_not_wait_for_the_writer_and_see_what_was_answered_before() {
    let directory = tempfile::tempdir().unwrap();
    let store = SqliteMetadata::open(&directory.path().join("hub.db"), &Scope::new("test")).unwrap();
    let repo: RepoName = "acme/model".parse().unwrap();
    let attributes = |number: usize| Map::from_iter([("number".to_owned(), Value::from(number))]);
    for number in 0..50 {
        store.put_repo_metadata(repo.clone(), false, attributes(number)).await.unwrap();
        let read = store.repo_metadata(repo.clone()).await.unwrap().unwrap();
        assert_eq!(read.attributes, attributes(number));
    }
    // A write that has begun and does not end before the reads have been answered.
    let (begun, has_begun) = tokio::sync::oneshot::channel();
    let (end, may_end) = std::sync::mpsc::channel::<()>();
    let name = repo.clone();
    let write = store.call("write", move |on| {
        repos::put_metadata(on, &name, false, &Map::new())?;
        begun.send(()).unwrap();
        may_end.recv().unwrap_err();
        Ok(())
    });
    let reads = async {
        has_begun.await.unwrap();
        let read = store.repo_metadata(repo.clone()).await.unwrap().unwrap();
        assert_eq!(read.attributes, attributes(49), "what is not committed is not seen");
        assert!(store.blob(Blake3Hash::of(b"one")).await.unwrap().is_none());
        drop(end);
    };
    let (written, ()) = tokio::join!(write, reads);
    written.unwrap();
    assert_eq!(store.repo_metadata(repo).await.unwrap().unwrap().attributes, Map::new());
}

#[tokio::test]
async fn h4_14_an_object_is_known_whose_record_waits_for_the_writer() {
    let directory = tempfile::tempdir().unwrap();
    let store = SqliteMetadata::open(&directory.path().join("hub.db"), &Scope::new("test")).unwrap();
    let (begun, has_begun) = tokio::sync::oneshot::channel();
    let (end, may_end) = std::sync::mpsc::channel::<()>();
    let mut write = store.call("write", move |_| {
        begun.send(()).unwrap();
        may_end.recv().unwrap_err();
        Ok(())
    });
    assert!(futures::poll!(&mut write).is_pending());
    has_begun.await.unwrap();
    // The request is dropped when its record is in line.
    let segment = crate::metadata::Segment { key: "k1".to_owned(), size_bytes: 3 };
    let part = Part { number: 1, segment, chaining: Blake3Hash::of(b"one"), sha256: None };
    let mut put = store.put_part("u1".parse().unwrap(), part, 1);
    assert!(futures::poll!(&mut put).is_pending());
    drop(put);
    let mut unknown = store.unknown(vec!["k1".to_owned(), "k2".to_owned()]);
    assert!(futures::poll!(&mut unknown).is_pending(), "it comes after the record");
    drop(end);
    write.await.unwrap();
    assert_eq!(unknown.await.unwrap(), ["k2"]);
}

#[tokio::test]
async fn a_sweep_looks_at_nothing_twice_that_keeps_its_name() {
    let directory = tempfile::tempdir().unwrap();
    let store = SqliteMetadata::open(&directory.path().join("hub.db"), &Scope::new("test")).unwrap();
    let marked =
        || store.read("count", |on| Ok(on.query_row("SELECT count(*) FROM idle", [], |row| row.get::<_, i64>(0))?));
    let owner = UploadOwner::Media { owner: "acme".to_owned(), reference: "a".to_owned(), create: false };
    let (blake3, mime_type, expires_s) = (Blake3Hash::of(b"one"), "text/plain".to_owned(), 100);
    let new = NewUpload { id: "u1".parse().unwrap(), owner, blake3, size_bytes: 3, mime_type, expires_s };
    store.open_upload(new.clone(), Author::unlimited(Reader::Anyone), 1).await.unwrap();
    let segment = crate::metadata::Segment { key: "k1".to_owned(), size_bytes: 3 };
    let part = Part { number: 1, segment, chaining: blake3, sha256: None };
    assert!(store.put_part(new.id.clone(), part, 1).await.unwrap());
    store.complete_upload(new.id, vec!["k1".to_owned()], None, 1).await.unwrap();
    assert_eq!(marked().await.unwrap(), 1);
    assert!(!store.sweep(2, 2, 100).await.unwrap());
    assert_eq!(marked().await.unwrap(), 0);
    assert!(store.blob(blake3).await.unwrap().is_some());
}

#[tokio::test]
async fn a_store_of_the_first_format_is_brought_forward() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("hub.db");
    let add = |path: &str, hash: Blake3Hash| CommitOperation::Add {
        path: path.parse().unwrap(),
        blake3: hash,
        size_bytes: 3,
    };
    let (one, two) = (Blake3Hash::of(b"one"), Blake3Hash::of(b"two"));
    let body = |hash| serde_json::to_string(&CommitCreate::new(CommitMode::Merge, vec![add("a", hash)])).unwrap();
    let old = rusqlite::Connection::open(&path).unwrap();
    old.execute_batch(include_str!("format_1.sql")).unwrap();
    old.execute_batch(&format!(
        "INSERT INTO repos VALUES (1, 'acme', 'model', 0, '{{}}');
         INSERT INTO blobs VALUES ('{one}', 3, NULL, 7), ('{two}', 3, NULL, 8);
         INSERT INTO segments VALUES ('k1', '{one}', 1, 3), ('k2', '{two}', 1, 3);
         INSERT INTO checkpoints VALUES (1, 'blake3:{one}', 'sha256:{one}', 3, 0, '{}', 1);
         INSERT INTO commits VALUES ('c1', 'acme', 'model', 0, 0, '{}', NULL, 100), ('c2', 'acme', 'model', 0, 2, 'x', NULL, 100);
         INSERT INTO pins VALUES ('c1', '{two}', 3, 1);",
        body(one), body(two),
    ))
    .unwrap();
    old.pragma_update(None, "application_id", 0x6777_6862).unwrap();
    old.pragma_update(None, "user_version", 1).unwrap();
    drop(old);
    let store = SqliteMetadata::open(&path, &Scope::new("test")).unwrap();
    assert!(store.blob(one).await.unwrap().is_some());
    let done = store.finalize_commit("acme/model".parse().unwrap(), "c1".parse().unwrap(), 9).await.unwrap();
    assert_eq!(done.tags, ["latest"]);
    let about = |on: &rusqlite::Connection| Ok(on.query_row("SELECT about FROM abouts LIMIT 1", [], |row| row.get(0))?);
    let about: String = store.read("read", about).await.unwrap();
    assert!(!about.contains("add"), "{about}");
    store.sweep(9, 9, 100).await.unwrap();
    assert_eq!(store.doomed(String::new(), 100).await.unwrap(), ["k1"], "nothing names it");
}
