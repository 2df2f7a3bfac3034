use super::*;

#[tokio::test]
async fn an_object_that_was_given_up_does_not_appear() {
    let (directory, scope) = (tempfile::tempdir().unwrap(), Scope::new("test"));
    let place = directory.path().join("blobs/u1/1-x");
    let staged = Staged::create(place.clone(), &scope).await.unwrap();
    staged.write(PutPayload::from(vec![7; 5]), &scope).await.unwrap();
    staged.give_up();
    assert!(staged.complete(&scope).await.is_err());
    drop(staged);
    assert_eq!(fs::read_dir(place.parent().unwrap()).unwrap().count(), 0);
}
