//! What every implementation of [`Metadata`] must do: call [`conformance`] with a factory of empty stores.

mod again;
mod datasets;
mod environments;
mod joins;
mod media;
mod releases;
mod sessions;
mod transfers;
mod upkeep;

use std::{future::Future, sync::Arc};

use gen_worker_hub::{
    Blake3Hash, ServerId,
    api::{CommitCreate, CommitMode, CommitOperation},
    model_ref::RepoName,
    token::{Area, ByteLimits, CapabilityClaims, Grant, Right, Workload},
};

use super::{
    Author, Metadata, MetadataError, NewCommit, NewUpload, Part, Reader, Segment, Selector, UploadOpened, UploadOwner,
};

/// When the suite begins, in seconds since 1970.
const NOW_S: u64 = 1_000_000;

/// When its uploads and commits end.
const END_S: u64 = NOW_S + 100;

/// Runs the suite; each case with a store of its own.
///
/// # Panics
/// When the implementation breaks the contract.
pub async fn conformance<F, R>(make: F)
where
    F: Fn() -> R,
    R: Future<Output = Arc<dyn Metadata>>,
{
    uploads(Store(make().await)).await;
    closed_uploads(Store(make().await)).await;
    create_only(Store(make().await)).await;
    commits(Store(make().await)).await;
    racing_merges(Store(make().await)).await;
    privacy(Store(make().await)).await;
    upkeep::budgets(Store(make().await)).await;
    upkeep::repeats(Store(make().await)).await;
    again::again(Store(make().await)).await;
    collection(Store(make().await)).await;
    upkeep::last_names(Store(make().await)).await;
    upkeep::wanted(Store(make().await)).await;
    upkeep::expired(Store(make().await)).await;
    upkeep::too_many(Store(make().await)).await;
    upkeep::retention(Store(make().await)).await;
    upkeep::weights(Store(make().await)).await;
    upkeep::visibility(Store(make().await)).await;
    upkeep::trees(Store(make().await)).await;
    transfers::transfers(Store(make().await)).await;
    sessions::sessions(Store(make().await)).await;
    sessions::ends(Store(make().await)).await;
    datasets::datasets(Store(make().await)).await;
    environments::environments(Store(make().await)).await;
    releases::labels(Store(make().await)).await;
    joins::joins(Store(make().await)).await;
    joins::turns(Store(make().await)).await;
    media::media(Store(make().await)).await;
    releases::releases(Store(make().await)).await;
    releases::publish_keys(Store(make().await)).await;
    releases::promotions(Store(make().await)).await;
    releases::rollbacks(Store(make().await)).await;
}

/// A store, and shorter words for it.
struct Store(Arc<dyn Metadata>);

impl Store {
    fn media(&self, id: &str, reference: &str, content: &str) -> NewUpload {
        NewUpload {
            id: parse(id),
            owner: UploadOwner::Media { owner: "acme".to_owned(), reference: reference.to_owned(), create: false },
            blake3: Blake3Hash::of(content.as_bytes()),
            size_bytes: content.len() as u64,
            mime_type: "text/plain".to_owned(),
            expires_s: END_S,
        }
    }

    /// Opens an upload of a job of `acme`.
    async fn open_upload(&self, new: NewUpload) -> Result<UploadOpened, MetadataError> {
        self.0.open_upload(new, job("acme", &[Area::Media, Area::Repo]), NOW_S).await
    }

    /// Brings a content under a media ref.
    async fn save(&self, id: &str, reference: &str, content: &str) {
        self.open_upload(self.media(id, reference, content)).await.expect("an upload opens");
        assert!(self.part(id, id, content).await);
        self.0.complete_upload(parse(id), vec![id.to_owned()], None, NOW_S).await.expect("it completes");
    }

    async fn part(&self, id: &str, key: &str, content: &str) -> bool {
        let part = Part {
            number: 1,
            segment: Segment { key: key.to_owned(), size_bytes: content.len() as u64 },
            chaining: Blake3Hash::of(content.as_bytes()),
            sha256: None,
        };
        self.0.put_part(parse(id), part, NOW_S).await.expect("a part is recorded")
    }

    /// Opens a commit that replaces the tree by one file.
    async fn open(&self, id: &str, mode: CommitMode, path: &str, content: &str, private: bool) -> bool {
        let add = CommitOperation::Add {
            path: path.parse().expect("a path"),
            blake3: Blake3Hash::of(content.as_bytes()),
            size_bytes: content.len() as u64,
        };
        let body = CommitCreate::new(mode, vec![add]);
        let new = NewCommit { id: parse(id), repo: repo(), private, body, expires_s: END_S, repeat: None };
        let opened = self.0.open_commit(new, job("acme", &[Area::Repo])).await.expect("a commit opens");
        opened.pins.iter().all(|pin| pin.upload.is_none())
    }

    /// Brings the content of an open commit.
    async fn bring(&self, commit: &str, content: &str) {
        let id = format!("up-{commit}");
        let new = NewUpload { owner: UploadOwner::Commit(parse(commit)), ..self.media(&id, "", content) };
        self.open_upload(new).await.expect("an upload opens");
        assert!(self.part(&id, &format!("key-{commit}"), content).await);
        self.0
            .complete_upload(parse(&id), vec![format!("key-{commit}")], None, NOW_S)
            .await
            .expect("an upload completes");
    }

    async fn finalize(&self, id: &str) -> Result<super::Finalized, MetadataError> {
        self.0.finalize_commit(repo(), parse(id), NOW_S).await
    }

    async fn latest(&self) -> Vec<String> {
        let selector = Selector::Tag("latest".parse().expect("a tag"), None);
        let found = self.0.resolve(repo(), selector).await.expect("a resolve");
        found.map_or_else(Vec::new, |found| found.files.iter().map(|file| file.path.to_string()).collect())
    }

    async fn doomed(&self) -> Vec<String> {
        self.0.doomed(String::new(), 100).await.expect("the doomed")
    }
}

/// A job that may write everything of `owner` in these areas, as much as it likes.
fn job(owner: &str, areas: &[Area]) -> Author {
    let grants = areas.iter().map(|area| Grant::new(*area, Right::Write, owner, "*").expect("a grant"));
    let claims = CapabilityClaims {
        sub: "worker".to_owned(),
        tenant: owner.to_owned(),
        request_id: "r1".to_owned(),
        attempt: 1,
        kind: Workload::Conversion,
        grants: grants.collect(),
        limits: ByteLimits::default(),
        iat: NOW_S,
        exp: END_S,
    };
    Author::unlimited(Reader::Job(Arc::new(claims)))
}

fn parse(id: &str) -> ServerId {
    id.parse().expect("an id")
}

fn keys<const N: usize>(keys: [&str; N]) -> Vec<String> {
    keys.map(str::to_owned).to_vec()
}

fn repo() -> RepoName {
    "acme/model".parse().expect("a repository")
}

async fn uploads(store: Store) {
    let new = store.media("u1", "a.txt", "one");
    assert_eq!(store.open_upload(new.clone()).await.expect("it opens"), UploadOpened::Wanted);
    assert!(store.part("u1", "k1", "one").await);
    assert!(store.part("u1", "k2", "one").await);
    assert_eq!(store.doomed().await, ["k1"], "the part that came first is replaced");
    let replaced = store.0.complete_upload(parse("u1"), keys(["k1"]), None, NOW_S).await;
    assert!(matches!(replaced, Err(MetadataError::Changed)), "only what was verified becomes the blob");
    let done =
        store.0.complete_upload(parse("u1"), keys(["k2"]), Some("aa".to_owned()), NOW_S).await.expect("it completes");
    assert!(done.complete && done.created);
    let again = store.0.complete_upload(parse("u1"), keys(["k2"]), None, NOW_S).await.expect("it completes again");
    assert_eq!(again, done);
    let blob = store.0.blob(new.blake3).await.expect("a read").expect("a blob");
    assert_eq!((blob.size_bytes, blob.sha256.as_deref()), (3, Some("aa")));
    assert_eq!(blob.segments, [Segment { key: "k2".to_owned(), size_bytes: 3 }]);
    let known = store.open_upload(store.media("u2", "a.txt", "one")).await.expect("it opens");
    assert!(matches!(known, UploadOpened::Known(upload) if upload.complete && !upload.created));
    assert_eq!(store.0.unknown(keys(["k1", "k2", "k3"])).await.expect("a look"), ["k3"]);
}

async fn closed_uploads(store: Store) {
    store.open_upload(store.media("u1", "a.txt", "one")).await.expect("it opens");
    assert!(store.part("u1", "k1", "one").await);
    store.0.drop_upload(parse("u1")).await.expect("it is dropped");
    assert!(!store.part("u1", "k2", "one").await, "a part that comes late counts for nothing");
    assert_eq!(store.doomed().await, ["k1", "k2"]);
    let closed = store.0.complete_upload(parse("u1"), keys(["k1"]), None, NOW_S).await;
    assert!(matches!(closed, Err(MetadataError::Closed)));
    store.0.forget_doomed(vec!["k1".to_owned(), "k2".to_owned()]).await.expect("they are forgotten");
    assert!(store.doomed().await.is_empty());
    store.open_upload(store.media("u3", "a.txt", "one")).await.expect("it opens");
    assert!(store.part("u3", "k3", "one").await);
    assert_eq!(store.0.upload(parse("u3"), END_S).await.expect("a read"), None, "its time is over");
    store.0.sweep(0, END_S, 100).await.expect("a sweep");
    assert_eq!(store.doomed().await, ["k3"]);
}

async fn create_only(store: Store) {
    let create = |id: &str, content: &str| {
        let owner = UploadOwner::Media { owner: "acme".to_owned(), reference: "a".to_owned(), create: true };
        NewUpload { owner, ..store.media(id, "a", content) }
    };
    for id in ["u1", "u2"] {
        store.open_upload(create(id, id)).await.expect("it opens");
        assert!(store.part(id, id, id).await);
    }
    store.0.complete_upload(parse("u1"), keys(["u1"]), None, NOW_S).await.expect("the first completes");
    let second = store.0.complete_upload(parse("u2"), keys(["u2"]), None, NOW_S).await;
    assert!(matches!(second, Err(MetadataError::RefExists)));
    assert_eq!(store.0.blob(Blake3Hash::of(b"u2")).await.expect("a read"), None, "nothing of it stays");
    let third = store.open_upload(create("u3", "x")).await;
    assert!(matches!(third, Err(MetadataError::RefExists)));
}

async fn commits(store: Store) {
    assert!(!store.open("c1", CommitMode::Replace, "a", "one", false).await);
    let missing = store.finalize("c1").await;
    assert!(matches!(missing, Err(MetadataError::Missing(paths)) if paths == ["a"]));
    assert_eq!(store.0.repo_metadata(repo()).await.expect("a read"), None, "the repository is as it was: not there");
    store.bring("c1", "one").await;
    let done = store.finalize("c1").await.expect("it is a checkpoint");
    assert_eq!(store.finalize("c1").await.expect("the same again"), done);
    assert_eq!(store.latest().await, ["a"]);
    store.0.close_commit(repo(), parse("c1"), NOW_S).await.expect("too late to close");
    assert_eq!(store.finalize("c1").await.expect("the same again"), done);
    assert!(store.open("c2", CommitMode::Replace, "b", "one", false).await, "the content is there");
    store.0.close_commit(repo(), parse("c2"), NOW_S).await.expect("it closes");
    assert!(matches!(store.finalize("c2").await, Err(MetadataError::Closed)));
    assert_eq!(store.latest().await, ["a"]);
}

async fn racing_merges(store: Store) {
    for (commit, path) in [("c1", "a"), ("c2", "b"), ("c3", "a/b")] {
        store.open(commit, CommitMode::Merge, path, commit, false).await;
        store.bring(commit, commit).await;
    }
    let (one, two) = futures::join!(store.finalize("c1"), store.finalize("c2"));
    assert!(one.is_ok() && two.is_ok());
    assert_eq!(store.latest().await, ["a", "b"], "neither lost the file of the other");
    let unfit = store.finalize("c3").await;
    assert!(matches!(unfit, Err(MetadataError::Unfit(_))), "a file and a directory");
    assert_eq!(store.latest().await, ["a", "b"]);
}

async fn privacy(store: Store) {
    store.open("c1", CommitMode::Replace, "a", "secret", true).await;
    store.bring("c1", "secret").await;
    store.finalize("c1").await.expect("a checkpoint");
    let mut other = store.media("u1", "a", "secret");
    other.owner = UploadOwner::Media { owner: "eve".to_owned(), reference: "a".to_owned(), create: false };
    let opened = store.0.open_upload(other, job("eve", &[Area::Media, Area::Repo]), NOW_S).await.expect("it opens");
    assert_eq!(opened, UploadOpened::Wanted, "to know a hash is not to have the content");
    // What counts is what the token may read, not who is named as the owner.
    let media = store.0.open_upload(store.media("u2", "a", "secret"), job("acme", &[Area::Media]), NOW_S).await;
    assert_eq!(media.expect("it opens"), UploadOpened::Wanted, "the token may not read the repository");
    let readable = async |author: Author| store.0.readable(Blake3Hash::of(b"secret"), author.reader).await;
    assert!(readable(job("acme", &[Area::Repo])).await.expect("a read"));
    assert!(!readable(job("eve", &[Area::Media, Area::Repo])).await.expect("a read"));
    let own = store.open_upload(store.media("u3", "a", "secret")).await.expect("it opens");
    assert!(matches!(own, UploadOpened::Known(_)));
    let operator = Author::unlimited(Reader::Operator);
    let any = store.0.open_upload(store.media("u4", "b", "secret"), operator, NOW_S).await.expect("it opens");
    assert!(matches!(any, UploadOpened::Known(_)));
}

async fn collection(store: Store) {
    store.open("c1", CommitMode::Replace, "a", "kept", false).await;
    store.bring("c1", "kept").await;
    store.0.sweep(END_S, NOW_S, 100).await.expect("a sweep");
    assert!(store.doomed().await.is_empty(), "an open commit names it");
    store.finalize("c1").await.expect("a checkpoint");
    store.open("c2", CommitMode::Replace, "a", "lost", false).await;
    store.bring("c2", "lost").await;
    store.0.sweep(END_S, END_S, 100).await.expect("a sweep");
    assert!(store.doomed().await.is_empty(), "until now its commit named it");
    store.0.sweep(END_S + 1, END_S, 100).await.expect("a sweep");
    assert_eq!(store.doomed().await, ["key-c2"], "its commit has expired, and nothing else names it");
    assert!(matches!(store.finalize("c2").await, Err(MetadataError::Closed)));
    assert_eq!(store.0.blob(Blake3Hash::of(b"lost")).await.expect("a read"), None);
    assert!(store.0.blob(Blake3Hash::of(b"kept")).await.expect("a read").is_some());
}
