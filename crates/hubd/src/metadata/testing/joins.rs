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

async fn scattered(store: &Store) -> Vec<Blake3Hash> {
    store.0.scattered(None, 100).await.expect("a list")
}

pub(super) async fn joins(store: Store) {
    let (one, two) = (Blake3Hash::of(b"1234"), Blake3Hash::of(b"abcd"));
    bring(&store, "u1", "1234").await;
    bring(&store, "u2", "abcd").await;
    store.save("u3", "whole", "whole").await;
    let mut both = vec![one, two];
    both.sort();
    assert_eq!(scattered(&store).await, both);
    assert_eq!(store.0.scattered(None, 1).await.expect("a list"), both[..1]);
    assert_eq!(store.0.scattered(Some(both[0]), 100).await.expect("a list"), both[1..]);

    let joined = |key: &str| Segment { key: key.to_owned(), size_bytes: 4 };
    let put = async |hash, from: &[&str], key: &str| {
        let from = from.iter().map(|key| (*key).to_owned()).collect();
        store.0.put_joined(hash, from, joined(key), NOW_S).await.expect("it is recorded")
    };
    assert!(!put(one, &["u1-1", "other"], "j0").await, "it has other objects");
    assert!(!put(Blake3Hash::of(b"nowhere"), &[], "j00").await);
    assert!(put(one, &["u1-1", "u1-2"], "j1").await);
    assert!(!put(one, &["u1-1", "u1-2"], "j2").await, "another process was first");
    let blob = store.0.blob(one).await.expect("a read").expect("it is there");
    assert_eq!((blob.segments, blob.size_bytes), (vec![joined("j1")], 4));
    assert_eq!(scattered(&store).await, [two]);
    assert_eq!(store.doomed().await, ["j0", "j00", "j2"]);

    // Whoever reads the old objects reads on for a grace.
    let known = |keys: &[&str]| keys.iter().map(|key| (*key).to_owned()).collect::<Vec<_>>();
    let all = known(&["u1-1", "u1-2", "j1", "j2", "nobody"]);
    assert_eq!(store.0.unknown(all).await.expect("a look"), ["nobody"]);
    store.0.sweep(NOW_S, NOW_S, 100).await.expect("a sweep");
    assert_eq!(store.doomed().await, ["j0", "j00", "j2"]);
    assert!(store.0.sweep(NOW_S + 1, NOW_S, 1).await.expect("a sweep"), "there is more");
    assert_eq!(store.doomed().await, ["j0", "j00", "j2", "u1-1"]);
    store.0.sweep(NOW_S + 1, NOW_S, 100).await.expect("a sweep");
    assert_eq!(store.doomed().await, ["j0", "j00", "j2", "u1-1", "u1-2"]);
    assert!(store.0.blob(one).await.expect("a read").is_some());

    // A joined content goes with its last name like any other.
    store.save("u4", "u1", "5678").await;
    store.0.sweep(NOW_S + 1, NOW_S, 100).await.expect("a sweep");
    assert!(store.doomed().await.contains(&"j1".to_owned()));
    assert_eq!(store.0.blob(one).await.expect("a read"), None);
}
