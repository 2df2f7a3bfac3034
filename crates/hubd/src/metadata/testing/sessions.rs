//! Sessions.

use super::*;
use crate::metadata::{Finalized, Holder, SessionUploadOpened};

fn author() -> Author {
    job("acme", &[Area::Repo])
}

impl Store {
    async fn session(&self, id: &str) {
        let body = CommitCreate::new(CommitMode::Replace, Vec::new());
        let new = NewCommit { id: parse(id), repo: repo(), private: true, body, expires_s: END_S, repeat: None };
        self.0.open_session(new, author()).await.expect("a session opens");
    }

    async fn wants(&self, session: &str, id: &str, content: &str) -> Result<bool, MetadataError> {
        let new = NewUpload { owner: UploadOwner::Commit(parse(session)), ..self.media(id, "", content) };
        let opened = self.0.open_session_upload(repo(), new, "a".parse().expect("a path"), author(), NOW_S).await?;
        Ok(opened == SessionUploadOpened::Wanted)
    }

    async fn send(&self, id: &str, content: &str) {
        assert!(self.part(id, &format!("key-{id}"), content).await);
        self.0.complete_upload(parse(id), vec![format!("key-{id}")], None, NOW_S).await.expect("it completes");
    }

    async fn ends(&self, session: &str, files: &[&str]) -> Result<Vec<Finalized>, MetadataError> {
        let add = |content: &&str| CommitOperation::Add {
            path: content.parse().expect("a path"),
            blake3: Blake3Hash::of(content.as_bytes()),
            size_bytes: content.len() as u64,
        };
        let checkpoints = files.iter().map(|file| CommitCreate::new(CommitMode::Replace, vec![add(file)])).collect();
        self.0.finalize_session(repo(), parse(session), checkpoints, author().reader, NOW_S).await
    }
}

pub(super) async fn sessions(store: Store) {
    store.session("s1").await;
    assert!(store.wants("s1", "u1", "one").await.expect("it opens"));
    let (upload, path) = store
        .0
        .session_upload(repo(), parse("s1"), parse("u1"), NOW_S)
        .await
        .expect("a read")
        .expect("the upload is there");
    assert_eq!((upload.new.size_bytes, path.as_str()), (3, "a"));
    let other = "acme/other".parse().expect("a repository");
    assert_eq!(store.0.session_upload(other, parse("s1"), parse("u1"), NOW_S).await.expect("a read"), None);
    store.send("u1", "one").await;
    assert!(!store.wants("s1", "u2", "one").await.expect("it opens"), "the session has brought it");
    let holders = store.0.holders(Blake3Hash::of(b"one")).await.expect("a read");
    assert_eq!(holders, [Holder::Repo { repo: repo(), private: true }]);
    store.0.sweep(END_S, NOW_S, 100).await.expect("a sweep");
    assert!(store.doomed().await.is_empty(), "an open session names it");
    let short = NewUpload { size_bytes: 2, ..store.media("u3", "", "one") };
    let short = NewUpload { owner: UploadOwner::Commit(parse("s1")), ..short };
    let short = store.0.open_session_upload(repo(), short, "a".parse().expect("a path"), author(), NOW_S).await;
    assert!(matches!(short, Err(MetadataError::Unfit(_))), "one content has one size");
    assert!(store.wants("s1", "u4", "two").await.expect("it opens"));
    let missing = store.ends("s1", &["one", "two"]).await;
    assert!(matches!(missing, Err(MetadataError::Missing(paths)) if paths == ["two"]));
    assert_eq!(store.0.repo_metadata(repo()).await.expect("a read"), None, "not even the first of them is there");
    store.send("u4", "two").await;
    let done = store.ends("s1", &["one", "two"]).await.expect("it ends");
    assert_eq!(done.len(), 2);
    assert_eq!(store.ends("s1", &[]).await.expect("it ends as before"), done);
    assert_eq!(store.latest().await, ["two"]);
    assert!(matches!(store.wants("s1", "u5", "x").await, Err(MetadataError::Closed)));
    assert!(matches!(store.finalize("s1").await, Err(MetadataError::Closed)), "it is no commit");
}

pub(super) async fn ends(store: Store) {
    assert!(matches!(store.wants("s0", "u0", "x").await, Err(MetadataError::Closed)), "there is none");
    store.session("s1").await;
    assert!(store.wants("s1", "u1", "one").await.expect("it opens"));
    assert!(store.part("u1", "k1", "one").await);
    store.0.close_commit(repo(), parse("s1"), NOW_S).await.expect("it is no commit");
    assert!(store.doomed().await.is_empty(), "the session is as it was");
    assert!(matches!(store.finalize("s1").await, Err(MetadataError::Closed)), "nor does it end as one");
    assert!(store.wants("s1", "u0", "none").await.expect("it is open"));
    store.0.close_session(repo(), parse("s1"), NOW_S).await.expect("it closes");
    assert_eq!(store.doomed().await, ["k1"]);
    assert!(matches!(store.ends("s1", &[]).await, Err(MetadataError::Closed)));
    store.session("s2").await;
    assert!(store.wants("s2", "u2", "two").await.expect("it opens"));
    store.send("u2", "two").await;
    store.0.sweep(0, END_S, 100).await.expect("a sweep");
    assert!(matches!(store.ends("s2", &["two"]).await, Err(MetadataError::Closed)), "its time is over");
    let holders = store.0.holders(Blake3Hash::of(b"two")).await.expect("a read");
    assert_eq!(holders, []);
    // An open commit is no session.
    store.open("c1", CommitMode::Replace, "a", "three", false).await;
    assert!(matches!(store.wants("c1", "u3", "x").await, Err(MetadataError::Closed)));
    store.0.close_session(repo(), parse("c1"), NOW_S).await.expect("nothing happens");
    store.bring("c1", "three").await;
    store.finalize("c1").await.expect("it is still open");
}
