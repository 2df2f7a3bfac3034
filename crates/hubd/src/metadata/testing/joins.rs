//! Contents of several objects that become one object.

use super::*;

/// Brings a content in two parts.
async fn bring(store: &Store, id: &str, content: &str) {
    store.open_upload(store.media(id, id, content)).await.expect("an upload opens");
    let parts = [1, 2].map(|number| Part {
        number,
        segment: Segment { key: format!("{id}-{number}"), size_bytes: content.len() as u64 / 2 },
        chaining: Blake3Hash::of(content.as_bytes()),
        sha256: None,
    });
    for part in parts {
        assert!(store.0.put_part(parse(id), part, NOW_S).await.expect("a part is recorded"));
    }
    let keys = vec![format!("{id}-1"), format!("{id}-2")];
    store.0.complete_upload(parse(id), keys, None, NOW_S).await.expect("it completes");
}

async fn scattered(store: &Store, after: Option<Blake3Hash>, now_s: u64, limit: usize) -> Vec<Blake3Hash> {
    store.0.scattered(after, now_s, limit).await.expect("a list")
}

/// Begins a join that ends with `END_S`.
async fn begin(store: &Store, hash: Blake3Hash, key: &str, now_s: u64) -> bool {
    store.0.begin_join(hash, key.to_owned(), END_S, now_s).await.expect("a begin")
}

async fn put(store: &Store, hash: Blake3Hash, from: &[&str], key: &str) -> bool {
    let from = from.iter().map(|key| (*key).to_owned()).collect();
    store.0.put_joined(hash, from, joined(key), NOW_S).await.expect("it is recorded, or not")
}

fn joined(key: &str) -> Segment {
    Segment { key: key.to_owned(), size_bytes: 4 }
}

async fn unknown(store: &Store, keys: &[&str]) -> Vec<String> {
    store.0.unknown(keys.iter().map(|key| (*key).to_owned()).collect()).await.expect("a look")
}

pub(super) async fn joins(store: Store) {
    let (one, two) = (Blake3Hash::of(b"1234"), Blake3Hash::of(b"abcd"));
    bring(&store, "u1", "1234").await;
    bring(&store, "u2", "abcd").await;
    store.save("u3", "whole", "whole").await;
    let mut both = vec![one, two];
    both.sort();
    assert_eq!(scattered(&store, None, NOW_S, 100).await, both);
    assert_eq!(scattered(&store, None, NOW_S, 1).await, both[..1]);
    assert_eq!(scattered(&store, Some(both[0]), NOW_S, 100).await, both[1..]);

    assert!(!begin(&store, Blake3Hash::of(b"nowhere"), "j", NOW_S).await);
    assert!(begin(&store, one, "j0", NOW_S).await);
    assert_eq!(unknown(&store, &["j0", "nobody"]).await, ["nobody"], "it is on record before it is written");
    assert!(!put(&store, one, &["u1-1", "other"], "j0").await, "the content has other objects");
    assert!(begin(&store, one, "j1", NOW_S).await);
    assert!(put(&store, one, &["u1-1", "u1-2"], "j1").await);
    let blob = store.0.blob(one).await.expect("a read").expect("it is there");
    assert_eq!((blob.segments, blob.size_bytes), (vec![joined("j1")], 4));
    assert_eq!(scattered(&store, None, NOW_S, 100).await, [two]);
    assert_eq!(store.doomed().await, ["j0"]);

    // Whoever reads the old objects reads on for a grace.
    assert_eq!(unknown(&store, &["u1-1", "u1-2", "j1", "nobody"]).await, ["nobody"]);
    store.0.sweep(NOW_S, NOW_S, 100).await.expect("a sweep");
    assert_eq!(store.doomed().await, ["j0"]);
    assert!(store.0.sweep(NOW_S + 1, NOW_S, 1).await.expect("a sweep"), "there is more");
    assert_eq!(store.doomed().await, ["j0", "u1-1"]);
    store.0.sweep(NOW_S + 1, NOW_S, 100).await.expect("a sweep");
    assert_eq!(store.doomed().await, ["j0", "u1-1", "u1-2"]);
    assert!(store.0.blob(one).await.expect("a read").is_some());

    // A joined content goes with its last name like any other.
    store.save("u4", "u1", "5678").await;
    store.0.sweep(NOW_S + 1, NOW_S, 100).await.expect("a sweep");
    assert!(store.doomed().await.contains(&"j1".to_owned()));
    assert_eq!(store.0.blob(one).await.expect("a read"), None);
}

/// One at a time joins a content, until it says nothing any more.
pub(super) async fn turns(store: Store) {
    let hash = Blake3Hash::of(b"1234");
    bring(&store, "u1", "1234").await;
    assert!(begin(&store, hash, "j1", NOW_S).await && !begin(&store, hash, "j2", END_S - 1).await);
    assert!(scattered(&store, None, END_S - 1, 100).await.is_empty());
    assert_eq!(scattered(&store, None, END_S, 100).await, [hash]);
    let keep = async |key: &str| store.0.keep_join(hash, key.to_owned(), END_S + 5).await.expect("a word");
    assert!(keep("j1").await && !keep("j2").await);
    assert!(!begin(&store, hash, "j2", END_S).await, "it goes on");
    assert!(begin(&store, hash, "j2", END_S + 5).await, "its time is over");
    assert!(!keep("j1").await);
    assert_eq!(store.doomed().await, ["j1"]);
    assert!(!put(&store, hash, &["u1-1", "u1-2"], "j1").await, "another is at it");
    store.0.drop_join(hash, "j1".to_owned()).await.expect("it is not there any more");
    assert_eq!(store.doomed().await, ["j1"]);
    store.0.drop_join(hash, "j2".to_owned()).await.expect("it is given up");
    assert_eq!(store.doomed().await, ["j1", "j2"]);
    // One that nobody went on with is forgotten, and its object with it.
    assert!(begin(&store, hash, "j3", NOW_S).await);
    store.0.sweep(END_S, NOW_S, 100).await.expect("a sweep");
    assert_eq!(unknown(&store, &["j3"]).await, Vec::<String>::new());
    store.0.sweep(END_S + 1, NOW_S, 100).await.expect("a sweep");
    assert_eq!(store.doomed().await, ["j1", "j2", "j3"]);
    assert!(!put(&store, hash, &["u1-1", "u1-2"], "j3").await);
    assert!(begin(&store, hash, "j4", NOW_S).await && put(&store, hash, &["u1-1", "u1-2"], "j4").await);
}
