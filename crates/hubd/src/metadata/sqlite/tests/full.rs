//! A store on a disk that is full.

use futures::future::join_all;
use rusqlite::Connection;

use super::*;
use crate::metadata::{
    MetadataError,
    sqlite::{readers, writer},
};

/// Pages that the store may not get.
const NONE_LEFT: i64 = 1;

/// Pages that it may have otherwise.
const ENOUGH: i64 = 1_000_000;

impl SqliteMetadata {
    /// Lets the store have so many pages, or as many as it has.
    pub(crate) async fn limit(&self, pages: i64) {
        let limit = move |on: &Connection| {
            let _now: i64 = on.query_row(&format!("PRAGMA max_page_count = {pages}"), [], |row| row.get(0))?;
            Ok(())
        };
        self.call("limit the store", limit).await.unwrap();
    }

    /// Takes every transaction back that would write, as a full disk does, or lets them be again.
    pub(crate) async fn protect(&self, is_protected: bool) {
        let protect = move |on: &Connection| {
            let mut list = on.prepare(
                "SELECT name FROM main.sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite!_%' ESCAPE '!'",
            )?;
            let names = list.query_map([], |row| row.get(0))?.collect::<Result<Vec<String>, _>>()?;
            for (table, what) in names.iter().flat_map(|table| ["INSERT", "UPDATE", "DELETE"].map(|what| (table, what)))
            {
                on.execute_batch(&match is_protected {
                    true => format!(
                        "CREATE TEMP TRIGGER full_{table}_{what} BEFORE {what} ON main.{table}
                         BEGIN SELECT RAISE (ROLLBACK, 'database or disk is full'); END"
                    ),
                    false => format!("DROP TRIGGER temp.full_{table}_{what}"),
                })?;
            }
            Ok(())
        };
        self.call("protect the store", protect).await.unwrap();
    }
}

/// An upload whose row fills some pages.
fn large(id: &str) -> NewUpload {
    let mime_type = "x".repeat(20_000);
    let reference = id.to_owned();
    let owner = UploadOwner::Media { owner: "acme".to_owned(), reference, create: false };
    NewUpload { id: id.parse().unwrap(), owner, blake3: Blake3Hash::of(b"one"), size_bytes: 3, mime_type, expires_s: 9 }
}

#[tokio::test]
async fn a_full_disk_refuses_calls_and_keeps_what_was_answered() {
    let directory = tempfile::tempdir().unwrap();
    let scope = Scope::new("test");
    let store = SqliteMetadata::open(&directory.path().join("hub.db"), &scope).unwrap();
    let open = async |id: &str| store.open_upload(large(id), Author::unlimited(Reader::Anyone), 1).await;
    let is_there = async |id: &str| store.upload(id.parse().unwrap(), 1).await.unwrap().is_some();
    open("u1").await.unwrap();
    store.limit(NONE_LEFT).await;
    for id in ["u2", "u3"] {
        let refused = open(id).await.unwrap_err();
        assert!(matches!(refused, MetadataError::Unavailable { .. }), "{refused:?}");
        assert!(!is_there(id).await, "nothing of it is there");
    }
    assert!(is_there("u1").await);
    store.limit(ENOUGH).await;
    open("u2").await.unwrap();
    assert!(is_there("u2").await && !is_there("u3").await);
}

/// Calls of one transaction, of which one finds the disk full. Whoever hears of success has it, and nobody else has anything.
#[test]
fn calls_that_share_a_transaction_with_one_that_fills_the_disk_are_all_told_the_truth() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("hub.db");
    let scope = Scope::new("test");
    let connection = open::open(&path).unwrap();
    connection.pragma_update(None, "max_page_count", NONE_LEFT).unwrap();
    let (jobs, waiting) = mpsc::channel(JOBS_MAX);
    let store = SqliteMetadata { jobs, reads: readers::start(&path, &scope).unwrap() };
    let unlimited = || Author::unlimited(Reader::Anyone);
    let small = |id: &str| NewUpload { mime_type: "text/plain".to_owned(), ..large(id) };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let told = runtime.block_on(async {
        // All of them wait before the writer begins, so that they are one group.
        let news = [small("u1"), large("u2"), small("u3"), small("u4"), large("u5"), small("u6")];
        let mut all = Box::pin(join_all(news.map(|new| store.open_upload(new, unlimited(), 1))));
        assert!(futures::poll!(&mut all).is_pending());
        scope.spawn_thread("writer", move || writer::run(connection, waiting)).unwrap();
        let told = all.await;
        let mut found = Vec::new();
        for (number, outcome) in (1..).zip(told) {
            let is_there = store.upload(format!("u{number}").parse().unwrap(), 1).await.unwrap().is_some();
            found.push((outcome.is_ok(), is_there));
        }
        found
    });
    assert!(told.iter().all(|(said, is_there)| said == is_there), "said and there: {told:?}");
    assert!(!told[1].0 && !told[4].0, "there is no room for these: {told:?}");
    assert!(told[5].0, "who comes after them has room: {told:?}");
}
