//! Files of media.

use super::*;
use crate::metadata::MediaFile;

pub(super) async fn media(store: Store) {
    let on = &store.0;
    let file = async |owner: &str| on.media_file(owner.to_owned(), "a".to_owned()).await.expect("a read");
    store.open_upload(store.media("u1", "a", "one")).await.expect("it opens");
    assert_eq!(file("acme").await, None, "it has not come");
    assert!(store.part("u1", "k1", "one").await);
    on.complete_upload(parse("u1"), keys(["k1"]), Some("aa".to_owned()), NOW_S).await.expect("it completes");
    let expected = MediaFile {
        blake3: Blake3Hash::of(b"one"),
        size_bytes: 3,
        sha256: Some("aa".to_owned()),
        mime_type: "text/plain".to_owned(),
    };
    assert_eq!(file("acme").await, Some(expected));
    assert_eq!(file("eve").await, None);
}
