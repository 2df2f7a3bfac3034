use super::*;

/// So many bytes, in one piece.
fn piece(bytes: usize) -> PutPayload {
    PutPayload::from(vec![7; bytes])
}

#[tokio::test]
async fn what_the_disk_refused_on_the_way_is_not_forgotten_in_the_end() {
    let (directory, scope) = (tempfile::tempdir().unwrap(), Scope::new("test"));
    let place = directory.path().join("blobs/u1/1-x");
    let mut staged = Staged::create(place.clone(), &scope).await.unwrap();
    staged.write(piece(5), &scope).await.unwrap();
    *staged.open.synced.lock() = Err(io::Error::other("the disk"));
    // Another sync, which goes well, says nothing of the first.
    staged.open.sync_ahead();
    assert_eq!(staged.complete(&scope).await.unwrap_err().to_string(), "the disk");
    drop(staged);
    assert_eq!(fs::read_dir(place.parent().unwrap()).unwrap().count(), 0);
}

#[tokio::test]
async fn an_object_that_was_given_up_does_not_appear() {
    let (directory, scope) = (tempfile::tempdir().unwrap(), Scope::new("test"));
    let place = directory.path().join("blobs/u1/1-x");
    let mut staged = Staged::create(place.clone(), &scope).await.unwrap();
    staged.write(piece(SYNC_BYTES as usize), &scope).await.unwrap();
    staged.give_up();
    assert!(staged.complete(&scope).await.is_err());
    assert!(!place.exists());
}
