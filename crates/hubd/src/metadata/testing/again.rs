//! Commits that are asked for once more.

use super::*;
use crate::metadata::{CommitOpened, Repeat};

impl Store {
    /// Asks for a commit of one file by some words.
    async fn ask(&self, id: &str, words: (&str, bool), content: &str, live_after_s: u64) -> CommitOpened {
        let (blake3, size_bytes) = (Blake3Hash::of(content.as_bytes()), content.len() as u64);
        let add = CommitOperation::Add { path: "a".parse().expect("a path"), blake3, size_bytes };
        let body = CommitCreate::new(CommitMode::Replace, vec![add]);
        let repeat = Some(Repeat { key: words.0.to_owned(), is_named: words.1, live_after_s });
        let new = NewCommit { id: parse(id), repo: repo(), private: false, body, expires_s: END_S, repeat };
        self.0.open_commit(new, job("acme", &[Area::Repo])).await.expect("a commit opens")
    }

    /// Sends the content of a commit that was asked for.
    async fn send_all(&self, opened: &CommitOpened, content: &str) {
        for upload in opened.pins.iter().filter_map(|pin| pin.upload.as_ref()) {
            let id = upload.id.as_str();
            assert!(self.part(id, id, content).await);
            self.0.complete_upload(parse(id), vec![id.to_owned()], None, NOW_S).await.expect("it completes");
        }
    }
}

/// The same words mean the commit that was opened by them: by name until it is given up, without one until something came for it.
pub(super) async fn again(store: Store) {
    let (named, plain) = (("k1", true), ("k2", false));
    let first = store.ask("c1", named, "one", NOW_S).await;
    assert_eq!((first.id.as_str(), first.pins.len()), ("c1", 1));
    assert_eq!(store.ask("c2", named, "one", NOW_S).await, first, "with the same uploads");
    assert_ne!(store.ask("c3", plain, "one", NOW_S).await.id, first.id, "by other words another one");
    store.send_all(&first, "one").await;
    let then = store.ask("c4", named, "one", NOW_S).await;
    assert_eq!((then.id.as_str(), then.pins[0].upload.is_none()), ("c1", true), "what came is not wanted again");
    let done = store.finalize("c1").await.expect("a checkpoint");
    let after = store.ask("c5", named, "one", NOW_S).await;
    assert_eq!((after.id.as_str(), after.pins[0].upload.is_none()), ("c1", true));
    assert_eq!(store.finalize("c1").await.expect("the same again"), done);
    // Without a name it is the same as long as nobody has sent anything.
    let plain = ("k3", false);
    let first = store.ask("c6", plain, "two", NOW_S).await;
    assert_eq!(store.ask("c7", plain, "two", NOW_S).await, first);
    assert!(store.part(first.pins[0].upload.as_ref().expect("it is wanted").id.as_str(), "k", "two").await);
    let other = store.ask("c8", plain, "two", NOW_S).await;
    assert_eq!(other.id.as_str(), "c8", "somebody is at the first");
    // What is given up, or over, is not found.
    store.0.close_commit(repo(), parse("c8"), NOW_S).await.expect("it closes");
    let last = store.ask("c9", plain, "two", NOW_S).await;
    assert_eq!(last.id.as_str(), "c9");
    assert_eq!(store.ask("d1", plain, "two", END_S).await.id.as_str(), "d1", "its time is over");
    let (one, other) =
        futures::join!(store.ask("d2", ("k4", true), "x", NOW_S), store.ask("d3", ("k4", true), "x", NOW_S));
    assert_eq!(one, other, "of two at once one is opened");
}
