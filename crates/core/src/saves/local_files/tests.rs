//! Files land below the directory, and nowhere else.

use super::*;

async fn save(root: &Path, reference: &str, content: SaveContent) -> Result<Asset> {
    let files = LocalFiles::new(root, Arc::new(Scope::new("test")));
    files.save(Save { reference: reference.to_owned(), content, create: false }).await
}

fn bytes(text: &'static str) -> SaveContent {
    SaveContent::Bytes(text.into())
}

#[tokio::test]
async fn c101_refs_are_sanitised_and_files_are_whole() {
    let dir = tempfile::tempdir().expect("a directory");
    let root = dir.path().join("outputs");
    for (reference, place) in
        [("/a/b.txt", "a/b.txt"), ("../../c", "c"), ("d/../e", "d/e"), ("a/b.txt", "a/b.txt"), ("f\\..\\g", "f/g")]
    {
        let asset = save(&root, reference, bytes("hello")).await.expect("saved");
        assert_eq!(asset.reference, place);
        assert_eq!(asset.local_path.as_deref(), root.join(place).to_str());
        let sha256 = gen_worker_hub::Digest::sha256(b"hello").hex();
        assert_eq!((asset.size_bytes, asset.sha256), (Some(5), Some(sha256)));
        assert_eq!((asset.blake3, asset.mime_type, asset.inline_bytes), (None, None, None));
        assert_eq!(fs::read(root.join(place)).expect("a file"), b"hello");
    }
    let blank = save(&root, " / ", bytes("x")).await.expect("saved").reference;
    assert!(blank.len() == 12 && blank.starts_with("out-"), "{blank}");
    assert!(save(&root, "https://a/b", bytes("x")).await.is_err());
    let left: Vec<_> = fs::read_dir(&root).expect("a directory").flatten().map(|entry| entry.file_name()).collect();
    assert!(left.iter().all(|name| !name.to_string_lossy().ends_with(".tmp")), "{left:?}");
}

#[tokio::test]
async fn c101_a_file_is_copied_and_what_is_none_is_an_error() {
    let dir = tempfile::tempdir().expect("a directory");
    let (root, source) = (dir.path().join("outputs"), dir.path().join("source"));
    fs::write(&source, b"content").expect("a file");
    save(&root, "a", SaveContent::File(source)).await.expect("saved");
    assert_eq!(fs::read(root.join("a")).expect("a file"), b"content");
    for path in [dir.path().join("missing"), dir.path().to_owned()] {
        save(&root, "b", SaveContent::File(path)).await.expect_err("no file");
    }
    assert!(!root.join("b").exists());
}

#[tokio::test]
async fn h9_12_a_link_does_not_lead_out_of_the_directory() {
    let dir = tempfile::tempdir().expect("a directory");
    let (root, outside) = (dir.path().join("outputs"), dir.path().join("outside"));
    fs::create_dir_all(&root).expect("a directory");
    fs::create_dir_all(&outside).expect("a directory");
    std::os::unix::fs::symlink(&outside, root.join("link")).expect("a link");
    save(&root, "link/a", bytes("x")).await.expect_err("outside");
    assert_eq!(fs::read_dir(&outside).expect("a directory").count(), 0);
    // A link in the place of a file is replaced, not followed.
    let target = outside.join("target");
    fs::write(&target, b"old").expect("a file");
    std::os::unix::fs::symlink(&target, root.join("b")).expect("a link");
    save(&root, "b", bytes("new")).await.expect("saved");
    assert_eq!(
        (fs::read(&target).expect("a file"), fs::read(root.join("b")).expect("a file")),
        (b"old".to_vec(), b"new".to_vec())
    );
}
