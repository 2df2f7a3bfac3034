use std::sync::Arc;

use gen_worker_tasks::Scope;
use object_store::memory::InMemory;

use super::*;

#[tokio::test]
async fn objects_belong_to_who_came_first() {
    let scope = Arc::new(Scope::new("test"));
    let directory = tempfile::tempdir().unwrap();
    let local = BlobStore::local(directory.path().to_owned(), Arc::clone(&scope)).unwrap();
    for blobs in [BlobStore::remote(Arc::new(InMemory::new()), scope), local] {
        let (one, two) = tokio::join!(blobs.claim("one"), blobs.claim("two"));
        assert!(one.is_ok() != two.is_ok(), "{one:?} {two:?}");
        let (mine, other) = if one.is_ok() { ("one", "two") } else { ("two", "one") };
        blobs.claim(mine).await.unwrap();
        assert!(matches!(blobs.claim(other).await, Err(ClaimError::Taken)));
    }
}
