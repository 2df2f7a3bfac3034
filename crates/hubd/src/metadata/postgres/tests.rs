use std::sync::atomic::{AtomicU32, Ordering};

use gen_worker_hub::api::{CommitCreate, CommitMode, CommitOperation};
use gen_worker_postgres::Postgres;
use tokio_rustls::rustls::{
    RootCertStore,
    crypto::ring::default_provider,
    pki_types::{CertificateDer, pem::PemObject as _},
};

use super::*;
use crate::metadata::{
    Budget, EndpointName, Environments as _, MetadataError, Reader, Segment, UploadOwner, Variable, testing,
};

mod races;

/// When the tests are, and when what they open ends.
const NOW_S: u64 = 1_000;
const END_S: u64 = 2_000;

async fn open(url: &str) -> PostgresMetadata {
    PostgresMetadata::open(PostgresOptions::new(url), Arc::new(Scope::new("test"))).await.unwrap()
}

fn upload(id: &str, reference: &str, content: &str) -> NewUpload {
    let owner = UploadOwner::Media { owner: "acme".to_owned(), reference: reference.to_owned(), create: false };
    let (blake3, mime_type) = (Blake3Hash::of(content.as_bytes()), "text/plain".to_owned());
    NewUpload { id: id.parse().unwrap(), owner, blake3, size_bytes: content.len() as u64, mime_type, expires_s: END_S }
}

fn part(key: &str, content: &str) -> Part {
    let segment = Segment { key: key.to_owned(), size_bytes: content.len() as u64 };
    Part { number: 1, segment, chaining: Blake3Hash::of(content.as_bytes()), sha256: None }
}

/// Opens an upload and brings its content. Whether it had to come.
async fn save(on: &PostgresMetadata, id: &str, reference: &str, content: &str) -> Result<bool, MetadataError> {
    let operator = Author::unlimited(Reader::Operator);
    let opened = on.open_upload(upload(id, reference, content), operator, NOW_S).await?;
    if opened != UploadOpened::Wanted {
        return Ok(false);
    }
    bring(on, id, content).await
}

async fn bring(on: &PostgresMetadata, id: &str, content: &str) -> Result<bool, MetadataError> {
    let upload: ServerId = id.parse().unwrap();
    assert!(on.put_part(upload.clone(), part(&format!("key-{id}"), content), NOW_S).await?);
    on.complete_upload(upload, vec![format!("key-{id}")], None, NOW_S).await?;
    Ok(true)
}

fn repo() -> RepoName {
    "acme/model".parse().unwrap()
}

fn commit(id: &str, mode: CommitMode, files: &[(&str, &str)]) -> NewCommit {
    let add = |(path, content): &(&str, &str)| CommitOperation::Add {
        path: path.parse().unwrap(),
        blake3: Blake3Hash::of(content.as_bytes()),
        size_bytes: content.len() as u64,
    };
    let body = CommitCreate::new(mode, files.iter().map(add).collect());
    NewCommit { id: id.parse().unwrap(), repo: repo(), private: false, body, expires_s: END_S, repeat: None }
}

async fn files(on: &PostgresMetadata) -> Vec<String> {
    let found = on.resolve(repo(), Selector::Tag("latest".parse().unwrap(), None)).await.unwrap().unwrap();
    found.files.iter().map(|file| file.path.to_string()).collect()
}

#[tokio::test]
async fn the_store_does_what_the_seam_promises() {
    let server = Postgres::start().unwrap();
    testing::conformance(|| async {
        let store: Arc<dyn Metadata> = Arc::new(open(&server.database().unwrap()).await);
        store
    })
    .await;
}

#[tokio::test]
async fn what_is_answered_outlives_the_server_which_may_go_and_come_back() {
    let mut server = Postgres::start().unwrap();
    let url = server.database().unwrap();
    let store = open(&url).await;
    assert!(save(&store, "u1", "a", "one").await.unwrap());
    server.stop();
    let error = store.upload("u1".parse().unwrap(), NOW_S).await.unwrap_err();
    assert!(matches!(error, MetadataError::Unavailable { operation: "read an upload", .. }), "{error:?}");
    let error = save(&store, "u2", "b", "two").await.unwrap_err();
    assert!(matches!(error, MetadataError::Unavailable { .. }), "{error:?}");
    let refused = PostgresMetadata::open(PostgresOptions::new(&url), Arc::new(Scope::new("test"))).await;
    assert!(matches!(refused, Err(PostgresOpenError::Database(_))));
    server.run().unwrap();
    assert_eq!(store.media("acme".to_owned(), "a".to_owned()).await.unwrap(), Some(Blake3Hash::of(b"one")));
    assert!(save(&store, "u2", "b", "two").await.unwrap());
}

#[tokio::test]
async fn a_call_whose_connection_is_killed_is_done_once() {
    let server = Postgres::start().unwrap();
    let store = open(&server.database().unwrap()).await;
    assert!(save(&store, "u1", "a", "one").await.unwrap());
    let tries = Arc::new(AtomicU32::new(0));
    let killed = store.call("die", Arc::clone(&tries), |on, tries| {
        async move {
            blobs::doom(on, vec!["key-u1"]).await?;
            if tries.fetch_add(1, Ordering::SeqCst) == 0 {
                on.batch("SELECT pg_terminate_backend(pg_backend_pid())").await?;
            }
            Ok(())
        }
        .boxed()
    });
    killed.await.unwrap();
    assert_eq!(tries.load(Ordering::SeqCst), 2);
    let ever = store.call("die", tries, |on, _| {
        async move {
            blobs::doom(on, vec!["key-u2"]).await?;
            on.batch("SELECT pg_terminate_backend(pg_backend_pid())").await
        }
        .boxed()
    });
    let error = ever.await.unwrap_err();
    assert!(matches!(error, MetadataError::Unavailable { operation: "die", .. }), "{error:?}");
    assert_eq!(store.doomed(String::new(), 10).await.unwrap(), ["key-u1"], "nothing is half done");
}

#[tokio::test]
async fn h4_14_an_object_is_known_whose_record_waits_in_another_process() {
    let server = Postgres::start().unwrap();
    let url = server.database().unwrap();
    let (one, two) = (open(&url).await, open(&url).await);
    one.open_upload(upload("u1", "a", "one"), Author::unlimited(Reader::Anyone), NOW_S).await.unwrap();
    // A record that has begun, and waits for the row of its upload.
    let (locked, is_locked) = tokio::sync::oneshot::channel();
    let (end, may_end) = tokio::sync::oneshot::channel::<()>();
    let data = parking_lot::Mutex::new(Some((locked, may_end)));
    let holding = one.call("hold", data, |on, data| {
        async move {
            let (locked, may_end) = data.lock().take().unwrap();
            uploads::locked(on, &"u1".parse().unwrap(), NOW_S).await?;
            locked.send(()).unwrap();
            may_end.await.unwrap_err();
            Ok(())
        }
        .boxed()
    });
    let racing = async {
        is_locked.await.unwrap();
        let mut put = one.put_part("u1".parse().unwrap(), part("k1", "one"), NOW_S);
        while waiting(&server) == 0 {
            assert!(futures::poll!(&mut put).is_pending());
            tokio::task::yield_now().await;
        }
        let mut unknown = two.unknown(vec!["k1".to_owned(), "k2".to_owned()]);
        while waiting(&server) < 2 {
            assert!(futures::poll!(&mut unknown).is_pending(), "it comes after the record");
            tokio::task::yield_now().await;
        }
        drop(end);
        let (put, unknown) = tokio::join!(put, unknown);
        assert!(put.unwrap());
        assert_eq!(unknown.unwrap(), ["k2"]);
    };
    let (held, ()) = tokio::join!(holding, racing);
    held.unwrap();
}

/// Transactions that wait for a lock.
fn waiting(server: &Postgres) -> usize {
    server
        .sql("postgres", "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'")
        .unwrap()
        .parse()
        .unwrap()
}

#[tokio::test]
async fn a_call_that_is_dropped_leaves_nothing_and_nobody_behind() {
    let server = Postgres::start().unwrap();
    let url = server.database().unwrap();
    let store = PostgresMetadata::open(
        PostgresOptions { connections: 1, ..PostgresOptions::new(&url) },
        Arc::new(Scope::new("test")),
    );
    let store = store.await.unwrap();
    let (begun, has_begun) = tokio::sync::oneshot::channel();
    let data = parking_lot::Mutex::new(Some(begun));
    let dropped = store.call("never end", data, |on, begun| {
        async move {
            blobs::doom(on, vec!["k1"]).await?;
            begun.lock().take().unwrap().send(()).unwrap();
            std::future::pending::<()>().await;
            Ok(())
        }
        .boxed()
    });
    tokio::select! {
        ended = dropped => ended.unwrap(),
        begun = has_begun => begun.unwrap(),
    }
    // There is one connection: that of the call is not in anybody's way.
    assert_eq!(store.doomed(String::new(), 10).await.unwrap(), [""; 0]);
}

#[tokio::test]
async fn tables_are_made_once_and_those_of_others_are_left_alone() {
    let server = Postgres::start().unwrap();
    let options = |url: &str| PostgresOptions::new(url);
    let scope = || Arc::new(Scope::new("test"));
    let url = server.database().unwrap();
    let both =
        tokio::join!(PostgresMetadata::open(options(&url), scope()), PostgresMetadata::open(options(&url), scope()),);
    assert!(both.0.is_ok() && both.1.is_ok());
    server.sql("test0", "UPDATE hub.format SET version = 99").unwrap();
    let newer = PostgresMetadata::open(options(&url), scope()).await;
    assert!(matches!(newer, Err(PostgresOpenError::Newer { found: 99, .. })), "{newer:?}");
    for (number, tables) in ["CREATE TABLE hub.cars (a int)", "CREATE TABLE hub.format (a int)"].into_iter().enumerate()
    {
        let url = server.database().unwrap();
        server.sql(&format!("test{}", number + 1), &format!("CREATE SCHEMA hub; {tables}")).unwrap();
        let foreign = PostgresMetadata::open(options(&url), scope()).await;
        assert!(matches!(foreign, Err(PostgresOpenError::Foreign)), "{foreign:?}");
    }
    server.sql("postgres", "CREATE DATABASE old ENCODING 'LATIN1' TEMPLATE template0").unwrap();
    let encoding = PostgresMetadata::open(options(&server.url("old")), scope()).await;
    assert!(matches!(encoding, Err(PostgresOpenError::Encoding)), "{encoding:?}");
}

#[tokio::test]
async fn an_address_is_never_shown() {
    for url in [
        "",
        "hunter2",
        "postgres://me:hunter2@",
        "postgres://me:hunter2@[/x",
        "mysql://me:hunter2@h/x",
        "host=h hunter2",
    ] {
        let options = PostgresOptions::new(url);
        assert!(!format!("{options:?}").contains("hunter2"));
        let error = PostgresMetadata::open(options, Arc::new(Scope::new("test"))).await.unwrap_err();
        assert!(matches!(error, PostgresOpenError::Address), "{url}: {error:?}");
        assert!(!format!("{error:?} {error}").contains("hunter2"));
    }
}

#[tokio::test]
async fn a_server_with_another_certificate_is_no_server() {
    let pem =
        |name: &str| std::fs::read_to_string(format!("{}/../../tests/tls/{name}", env!("CARGO_MANIFEST_DIR"))).unwrap();
    let server = Postgres::start_with_tls(&pem("server.pem"), &pem("server.key")).unwrap();
    server.database().unwrap();
    let opened = async |root: &str| {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(pem(root).as_bytes()).unwrap()).unwrap();
        let config = ClientConfig::builder_with_provider(Arc::new(default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let url = server.tls_url("test0").unwrap();
        let options = PostgresOptions { tls: Some(Arc::new(config)), ..PostgresOptions::new(url) };
        PostgresMetadata::open(options, Arc::new(Scope::new("test"))).await
    };
    let store = opened("ca.pem").await.unwrap();
    assert!(save(&store, "u1", "a", "one").await.unwrap());
    let sql = "SELECT count(*) FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) WHERE ssl AND application_name = 'gen-worker hub'";
    assert_eq!(server.sql("test0", sql).unwrap(), "1");
    assert!(matches!(opened("other.pem").await, Err(PostgresOpenError::Database(_))));
    let plain = PostgresOptions::new(server.tls_url("test0").unwrap());
    let plain = PostgresMetadata::open(plain, Arc::new(Scope::new("test"))).await;
    assert!(matches!(plain, Err(PostgresOpenError::Database(_))), "TLS is demanded");
}

#[tokio::test]
async fn h6_18_a_tree_of_more_files_than_one_statement_takes_is_committed_and_resolved() {
    let server = Postgres::start().unwrap();
    let store = open(&server.database().unwrap()).await;
    let count = u32::try_from(finalize::FILES_AT_ONCE).unwrap() + 1;
    // Contents that are there: their hashes are such that both sides can make them.
    let contents = "CREATE TABLE made AS SELECT n, int4send(n) || decode(repeat('00', 28), 'hex') AS blake3 FROM generate_series(1, $) AS n";
    let statements = [
        contents.replace('$', &count.to_string()).as_str(),
        "INSERT INTO hub.blobs SELECT blake3, 1, NULL FROM made",
        "INSERT INTO hub.segments SELECT 'key' || n, blake3, 1, 1 FROM made",
        "INSERT INTO hub.media SELECT 'acme', n::text, blake3, 'text/plain' FROM made",
    ]
    .join("; ");
    server.sql("test0", &statements).unwrap();
    let add = |number: u32| {
        let mut hash = [0; 32];
        hash.iter_mut().zip(number.to_be_bytes()).for_each(|(to, from)| *to = from);
        let path = format!("files/of/a/large/tree/{number}.txt").parse().unwrap();
        CommitOperation::Add { path, blake3: Blake3Hash::from_bytes(hash), size_bytes: 1 }
    };
    let operations = (1..=count).map(add).collect();
    let body = CommitCreate::new(CommitMode::Replace, operations);
    let new = NewCommit { body, ..commit("c1", CommitMode::Replace, &[]) };
    let pins = store.open_commit(new, Author::unlimited(Reader::Operator)).await.unwrap().pins;
    assert_eq!(pins.iter().filter(|pin| pin.upload.is_none()).count(), finalize::FILES_AT_ONCE + 1);
    store.finalize_commit(repo(), "c1".parse().unwrap(), NOW_S).await.unwrap();
    assert_eq!(files(&store).await.len(), finalize::FILES_AT_ONCE + 1);
    // One that has nothing of it has to bring all of it, and gives up.
    let body = CommitCreate::new(CommitMode::Replace, (1..=count).map(add).collect());
    let new = NewCommit { body, ..commit("c2", CommitMode::Replace, &[]) };
    server.sql("test0", "UPDATE hub.repos SET private = true").unwrap();
    let pins = store.open_commit(new, Author::unlimited(Reader::Anyone)).await.unwrap().pins;
    assert_eq!(pins.iter().filter(|pin| pin.upload.is_some()).count(), finalize::FILES_AT_ONCE + 1);
    while store.sweep(0, END_S, 500).await.unwrap() {}
    assert_eq!(server.sql("test0", "SELECT count(*) FROM hub.uploads").unwrap(), "0");
}

#[tokio::test]
async fn text_that_cannot_be_stored_is_refused_by_name() {
    let server = Postgres::start().unwrap();
    let store = open(&server.database().unwrap()).await;
    let of = EndpointName { owner: "acme".to_owned(), endpoint: "paint".to_owned() };
    let (sealed, description) = (b"\0".to_vec(), Some("a\0b".to_owned()));
    let variable = Variable { name: "KEY".parse().unwrap(), sealed, sensitive: true, description, applies_to: None };
    let refused = store.put_variable(of, variable, false).await;
    assert!(matches!(refused, Err(MetadataError::Unfit(_))), "{refused:?}");
}
