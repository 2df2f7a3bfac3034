//! Uploads by grant.

use super::*;

fn part(number: u32, key: &str, content: &str) -> Part {
    let segment = Segment { key: key.to_owned(), size_bytes: content.len() as u64 };
    Part { number, segment, chaining: Blake3Hash::of(content.as_bytes()), sha256: None }
}

pub(super) async fn transfers(store: Store) {
    let on = &store.0;
    let put = async |transfer: Option<&str>, part: Part| {
        on.put_transferred(parse("u1"), transfer.map(parse), part, NOW_S).await.expect("a part is recorded or refused")
    };
    let current = async || on.transfer(parse("u1")).await.expect("a read");
    assert!(!on.begin_transfer(parse("u1"), parse("t1"), NOW_S).await.expect("an answer"), "there is no upload");
    store.open_upload(store.media("u1", "a", "onetwo")).await.expect("it opens");
    assert!(on.begin_transfer(parse("u1"), parse("t1"), NOW_S).await.expect("it begins"));
    assert!(put(Some("t1"), part(1, "k1", "one")).await);
    assert!(!put(Some("t2"), part(2, "k2", "two")).await, "there is no such transfer");
    assert!(!put(Some("t1"), part(2, "k3", "more")).await, "more than was announced");
    assert_eq!(store.doomed().await, ["k2", "k3"]);
    // The next attempt begins anew.
    assert!(on.begin_transfer(parse("u1"), parse("t2"), NOW_S).await.expect("it begins"));
    assert_eq!(store.doomed().await, ["k1", "k2", "k3"]);
    assert!(!put(Some("t1"), part(2, "k4", "two")).await, "the first attempt is over");
    assert!(!on.abort_transfer(parse("u1"), parse("t1")).await.expect("an answer"));
    assert!(put(Some("t2"), part(1, "k5", "one")).await && put(Some("t2"), part(9, "k6", "two")).await);
    let seal = async |named: &[&str]| {
        let named = named.iter().map(|key| (*key).to_owned()).collect();
        on.seal_transfer(parse("u1"), parse("t2"), named, NOW_S).await
    };
    assert!(matches!(seal(&["k5", "k4"]).await, Err(MetadataError::Changed)));
    assert!(matches!(seal(&[]).await, Err(MetadataError::Changed)));
    assert_eq!(current().await, Some(parse("t2")));
    seal(&["k5", "k6"]).await.expect("it ends");
    seal(&["k5", "k6"]).await.expect("it ends again");
    assert_eq!(current().await, None, "it takes no more");
    assert!(!put(Some("t2"), part(1, "k7", "one")).await);
    assert!(!on.abort_transfer(parse("u1"), parse("t2")).await.expect("an answer"), "it is too late");
    on.complete_upload(parse("u1"), keys(["k5", "k6"]), None, NOW_S).await.expect("it completes");
    assert!(!put(None, part(1, "k8", "onetwo")).await, "the upload is complete");
    assert!(matches!(seal(&["k5", "k6"]).await, Err(MetadataError::Closed)));
    whole(&store).await;
}

/// An object that is put whole takes the place of everything.
async fn whole(store: &Store) {
    let on = &store.0;
    store.open_upload(store.media("u2", "b", "whole")).await.expect("it opens");
    on.begin_transfer(parse("u2"), parse("t3"), NOW_S).await.expect("it begins");
    on.put_transferred(parse("u2"), Some(parse("t3")), part(2, "w1", "wh"), NOW_S).await.expect("a part");
    assert!(on.put_transferred(parse("u2"), None, part(1, "w2", "whole"), NOW_S).await.expect("the whole"));
    assert_eq!(on.transfer(parse("u2")).await.expect("a read"), None);
    assert!(store.doomed().await.contains(&"w1".to_owned()));
    on.begin_transfer(parse("u2"), parse("t4"), NOW_S).await.expect("it begins");
    assert!(on.abort_transfer(parse("u2"), parse("t4")).await.expect("an answer"));
    assert!(store.doomed().await.contains(&"w2".to_owned()));
    // Its transfer goes with an upload.
    on.begin_transfer(parse("u2"), parse("t5"), NOW_S).await.expect("it begins");
    on.drop_upload(parse("u2")).await.expect("it is dropped");
    assert_eq!(on.transfer(parse("u2")).await.expect("a read"), None);
}
