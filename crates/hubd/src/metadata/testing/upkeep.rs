//! What is counted, what is forgotten, and what the hub finds out by itself.

use gen_worker_hub::{
    Blake3Hash,
    api::{CommitCreate, CommitMode, CommitOperation},
    token::Area,
};

use super::{END_S, NOW_S, Store, job, keys, parse, repo};
use crate::metadata::{
    Author, Budget, COMMIT_KEPT_S, MetadataError, NewCommit, NewUpload, OPEN_MAX, Selector, UploadOpened, UploadOwner,
};

pub(super) async fn budgets(store: Store) {
    let author = |bytes_max| Author {
        budget: Some(Budget { job: "j1".to_owned(), bytes_max, expires_s: END_S + 1 }),
        ..job("acme", &[Area::Media])
    };
    let open =
        async |id: &str, content: &str| store.0.open_upload(store.media(id, id, content), author(10), NOW_S).await;
    open("u1", "12345678").await.expect("there is room");
    let refused = open("u2", "123").await;
    assert!(matches!(refused, Err(MetadataError::OverBudget { bytes_max: 10 })), "{refused:?}");
    assert_eq!(store.0.upload(parse("u2"), NOW_S).await.expect("a read"), None, "nothing of it stays");
    store.0.drop_upload(parse("u1")).await.expect("it is dropped");
    open("u3", "123").await.expect("what was given up does not count");
    assert!(store.part("u3", "u3", "123").await);
    store.0.complete_upload(parse("u3"), keys(["u3"]), None, NOW_S).await.expect("it completes");
    store.0.drop_upload(parse("u3")).await.expect("too late to drop");
    assert!(open("u4", "12345678").await.is_err(), "what was written counts");
    assert!(matches!(open("u5", "123").await.expect("it opens"), UploadOpened::Known(_)), "known content does not");
    let add = |path: &str, content: &str| CommitOperation::Add {
        path: path.parse().expect("a path"),
        blake3: Blake3Hash::of(content.as_bytes()),
        size_bytes: content.len() as u64,
    };
    let commit = |id: &str, content: &str| {
        let body = CommitCreate::new(CommitMode::Replace, vec![add("a", content), add("b", content)]);
        NewCommit { id: parse(id), repo: repo(), private: false, body, expires_s: END_S, repeat: None }
    };
    let refused = store.0.open_commit(commit("c1", "12345678"), author(10)).await;
    assert!(matches!(refused, Err(MetadataError::OverBudget { .. })));
    store.0.open_commit(commit("c1", "1234567"), author(10)).await.expect("one content counts once");
    store.0.sweep(0, END_S, 100).await.expect("a sweep");
    store.0.open_commit(commit("c2", "7654321"), author(10)).await.expect("what has expired does not count");
}

/// A client that lost the reply to a commit, or to an upload, announces it again: that is counted once, until all are given up.
pub(super) async fn repeats(store: Store) {
    let author = || Author {
        budget: Some(Budget { job: "j1".to_owned(), bytes_max: 10, expires_s: END_S + 1 }),
        ..job("acme", &[Area::Media, Area::Repo])
    };
    let commit = async |id: &str, content: &str| {
        let (blake3, size_bytes) = (Blake3Hash::of(content.as_bytes()), content.len() as u64);
        let add = CommitOperation::Add { path: "a".parse().expect("a path"), blake3, size_bytes };
        let body = CommitCreate::new(CommitMode::Replace, vec![add]);
        let new = NewCommit { id: parse(id), repo: repo(), private: false, body, expires_s: END_S, repeat: None };
        store.0.open_commit(new, author()).await
    };
    let upload =
        async |id: &str, content: &str| store.0.open_upload(store.media(id, id, content), author(), NOW_S).await;
    for id in ["c1", "c2"] {
        commit(id, "1234567").await.expect("the same again");
    }
    upload("u1", "1234567").await.expect("the same in another place");
    assert!(commit("c3", "7654321").await.is_err(), "it is counted");
    let longer = NewUpload { size_bytes: 8, ..store.media("u0", "u0", "1234567") };
    assert!(store.0.open_upload(longer, author(), NOW_S).await.is_err(), "another size is another content");
    store.0.close_commit(repo(), parse("c1"), NOW_S).await.expect("it closes");
    store.0.drop_upload(parse("u1")).await.expect("it is dropped");
    assert!(commit("c3", "7654321").await.is_err(), "one of them is open");
    store.0.close_commit(repo(), parse("c2"), NOW_S).await.expect("it closes");
    commit("c3", "7654321").await.expect("all are given up");
    store.0.close_commit(repo(), parse("c3"), NOW_S).await.expect("it closes");
    let body = CommitCreate::new(CommitMode::Replace, Vec::new());
    let session = NewCommit { id: parse("s1"), repo: repo(), private: false, body, expires_s: END_S, repeat: None };
    store.0.open_session(session, author()).await.expect("a session opens");
    for id in ["u5", "u6"] {
        let new = NewUpload { owner: UploadOwner::Commit(parse("s1")), ..store.media(id, "", "12345678") };
        let path = id.parse().expect("a path");
        store.0.open_session_upload(repo(), new, path, author(), NOW_S).await.expect("twice in one session");
    }
    store.0.close_session(repo(), parse("s1"), NOW_S).await.expect("it closes");
    for id in ["u2", "u3"] {
        upload(id, "123").await.expect("there is room");
    }
    assert!(store.part("u2", "u2", "123").await);
    store.0.complete_upload(parse("u2"), keys(["u2"]), None, NOW_S).await.expect("it completes");
    store.0.drop_upload(parse("u3")).await.expect("it is dropped");
    assert!(upload("u4", "12345678").await.is_err(), "what was written counts");
}

/// Contents that lose their last name go after the grace, whichever name it was; others stay.
pub(super) async fn last_names(store: Store) {
    store.save("u1", "a", "first").await;
    store.save("u2", "a", "second").await;
    assert!(!store.open("c1", CommitMode::Replace, "x", "third", false).await);
    store.bring("c1", "third").await;
    store.0.close_commit(repo(), parse("c1"), NOW_S + 5).await.expect("it closes");
    store.0.sweep(NOW_S, NOW_S, 100).await.expect("a sweep");
    assert!(store.doomed().await.is_empty(), "the grace is not over");
    store.0.sweep(NOW_S + 1, NOW_S, 100).await.expect("a sweep");
    assert_eq!(store.doomed().await, ["u1"]);
    store.0.sweep(NOW_S + 6, NOW_S, 100).await.expect("a sweep");
    assert_eq!(store.doomed().await, ["key-c1", "u1"]);
    assert!(store.0.blob(Blake3Hash::of(b"second")).await.expect("a read").is_some());
    // One that was looked at while it had a name is looked at again when it loses it.
    store.save("u3", "a", "fourth").await;
    store.0.sweep(NOW_S + 6, NOW_S, 100).await.expect("a sweep");
    assert_eq!(store.doomed().await, ["key-c1", "u1", "u2"]);
    assert!(!store.0.sweep(NOW_S + 6, NOW_S, 1).await.expect("a sweep"), "nothing is left to look at");
}

/// A commit that has to bring a content, because its author may not read it, does not keep what others had of it.
pub(super) async fn wanted(store: Store) {
    store.save("u1", "a", "first").await;
    let body = CommitCreate::new(
        CommitMode::Replace,
        vec![CommitOperation::Add {
            path: "x".parse().expect("a path"),
            blake3: Blake3Hash::of(b"first"),
            size_bytes: 5,
        }],
    );
    let new = NewCommit { id: parse("c1"), repo: repo(), private: false, body, expires_s: END_S, repeat: None };
    let opened = store.0.open_commit(new, job("eve", &[Area::Repo])).await.expect("a commit opens");
    assert!(opened.pins.iter().all(|pin| pin.upload.is_some()), "eve has to bring it");
    store.save("u2", "a", "second").await;
    store.0.sweep(NOW_S + 1, NOW_S, 100).await.expect("a sweep");
    assert_eq!(store.doomed().await, ["u1"]);
}

/// One sweep ends no more than it may, whatever a commit holds, and says that there is more.
pub(super) async fn expired(store: Store) {
    for (commit, content) in [("c1", "one"), ("c2", "two"), ("c3", "three")] {
        store.open(commit, CommitMode::Replace, commit, content, false).await;
    }
    let mut rounds = 0;
    while store.0.sweep(0, END_S, 3).await.expect("a sweep") {
        rounds += 1;
        assert!(rounds <= 3, "it comes to an end");
    }
    assert_eq!(rounds, 3, "each has a body, a pin and an upload");
}

/// An owner has so many commits and sessions open, and no more; those that end make room.
pub(super) async fn too_many(store: Store) {
    let new = |owner: &str, id: &str| NewCommit {
        id: parse(id),
        repo: format!("{owner}/model").parse().expect("a repository"),
        private: false,
        body: CommitCreate::new(CommitMode::Replace, Vec::new()),
        expires_s: END_S,
        repeat: None,
    };
    let author = || job("acme", &[Area::Repo]);
    for number in 0..OPEN_MAX {
        store.0.open_session(new("acme", &format!("s{number}")), author()).await.expect("there is room");
    }
    let refused = store.0.open_commit(new("acme", "c1"), author()).await;
    assert!(matches!(refused, Err(MetadataError::TooMany { open_max: OPEN_MAX })), "{refused:?}");
    store.0.open_session(new("eve", "c2"), author()).await.expect("another has room");
    store.0.close_session(repo(), parse("s7"), NOW_S).await.expect("it closes");
    store.0.open_commit(new("acme", "c1"), author()).await.expect("there is room again");
}

/// A commit answers as before for as long as is promised, and no longer.
pub(super) async fn retention(store: Store) {
    for (commit, content) in [("c1", "one"), ("c2", "two")] {
        store.open(commit, CommitMode::Merge, commit, content, false).await;
        store.bring(commit, content).await;
    }
    let done = store.finalize("c1").await.expect("a checkpoint");
    let last_s = END_S + COMMIT_KEPT_S - 1;
    store.0.sweep(0, last_s, 100).await.expect("a sweep");
    let kept = store.0.finalize_commit(repo(), parse("c1"), last_s).await.expect("the same again");
    assert_eq!(kept, done);
    store.0.sweep(0, last_s + 1, 100).await.expect("a sweep");
    for commit in ["c1", "c2"] {
        assert!(matches!(store.finalize(commit).await, Err(MetadataError::Closed)), "{commit}");
    }
    assert_eq!(store.latest().await, ["c1"], "the checkpoint stays");
}

pub(super) async fn weights(store: Store) {
    let unread = async || store.0.unread_weights(repo(), parse("c1")).await.expect("a read");
    store.open("c1", CommitMode::Replace, "model.safetensors", "one", false).await;
    assert!(unread().await.is_empty(), "it is not there");
    store.bring("c1", "one").await;
    assert_eq!(unread().await, [Blake3Hash::of(b"one")]);
    let contents = || vec![Blake3Hash::of(b"one"), Blake3Hash::of(b"none")];
    let among = async || store.0.unread_among(contents()).await.expect("a read");
    assert_eq!(among().await, [Blake3Hash::of(b"one")]);
    let dtypes = [("BF16".to_owned(), 2), ("F32".to_owned(), 1)].into();
    store.0.put_weights(Blake3Hash::of(b"one"), dtypes).await.expect("it is recorded");
    assert!(unread().await.is_empty() && among().await.is_empty());
    store.0.put_weights(Blake3Hash::of(b"none"), [].into()).await.expect("what is gone is no error");
    assert_eq!(store.finalize("c1").await.expect("a checkpoint").dtype.as_deref(), Some("bf16"));
    assert_eq!(store.finalize("c1").await.expect("the same again").dtype.as_deref(), Some("bf16"));
    assert!(unread().await.is_empty(), "it is not open");
    let selector = Selector::Tag("latest".parse().expect("a tag"), None);
    let found = store.0.resolve(repo(), selector).await.expect("a resolve").expect("a checkpoint");
    assert_eq!(found.dtype.as_deref(), Some("bf16"));
}

pub(super) async fn visibility(store: Store) {
    assert!(!store.0.put_visibility(repo(), true).await.expect("a write"), "it is not there");
    store.0.put_repo_metadata(repo(), false, serde_json::Map::new()).await.expect("a write");
    for private in [true, false] {
        assert!(store.0.put_visibility(repo(), private).await.expect("a write"));
        assert_eq!(store.0.repo_metadata(repo()).await.expect("a read").map(|repo| repo.private), Some(private));
    }
}

/// Trees are found by either digest, in what the reader may read, and each commit that moves tags is counted.
pub(super) async fn trees(store: Store) {
    let resolve = async || {
        let selector = Selector::Tag("latest".parse().expect("a tag"), None);
        store.0.resolve(repo(), selector).await.expect("a resolve").expect("a checkpoint")
    };
    let mut digests = Vec::new();
    for (number, (commit, content)) in (1..).zip([("c1", "one"), ("c2", "two"), ("c3", "one")]) {
        if !store.open(commit, CommitMode::Replace, "a", content, true).await {
            store.bring(commit, content).await;
        }
        let done = store.finalize(commit).await.expect("a checkpoint");
        let found = resolve().await;
        assert_eq!((found.digest, found.repo_revision), (done.checkpoint_id, number), "also of a tree that was there");
        digests.push(done.checkpoint_id);
    }
    store.finalize("c3").await.expect("the same again");
    assert_eq!(resolve().await.repo_revision, 3, "which moves nothing");
    let of = async |digest, author: Author| store.0.repo_of_tree(digest, author.reader).await.expect("a read");
    let alias = gen_worker_hub::Snapshot::new(resolve().await.files).expect("a tree").sha256_alias();
    for digest in [digests[0], digests[1], alias] {
        assert_eq!(of(digest, job("acme", &[Area::Repo])).await, Some(repo()));
        assert_eq!(of(digest, job("eve", &[Area::Repo])).await, None, "it is private");
    }
    assert_eq!(of(Blake3Hash::of(b"none").into(), job("acme", &[Area::Repo])).await, None);
}
