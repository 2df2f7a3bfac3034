use gen_worker_hub::Blake3Hash;

use super::*;

fn file(path: &str, content: &str) -> SnapshotFile {
    SnapshotFile {
        path: path.parse().unwrap(),
        size_bytes: content.len() as u64,
        blake3: Blake3Hash::of(content.as_bytes()),
    }
}

fn add(path: &str, content: &str) -> CommitOperation {
    let SnapshotFile { path, size_bytes, blake3 } = file(path, content);
    CommitOperation::Add { path, blake3, size_bytes }
}

fn copy(path: &str, from: &str, checkpoint: Option<Digest>) -> CommitOperation {
    CommitOperation::Copy { path: path.parse().unwrap(), from_path: from.parse().unwrap(), from_checkpoint: checkpoint }
}

#[test]
fn h6_13_a_merge_keeps_what_is_not_named_and_a_replace_does_not() {
    let base = [file("a", "1"), file("b", "2")];
    let operations = [add("b", "3"), add("c", "4")];
    let made = |mode| apply(&base, mode, &operations, &Elsewhere::new()).unwrap().files().to_vec();
    assert_eq!(made(CommitMode::Merge), [file("a", "1"), file("b", "3"), file("c", "4")]);
    assert_eq!(made(CommitMode::Replace), [file("b", "3"), file("c", "4")]);
}

#[test]
fn h6_15_files_are_deleted_and_copied() {
    let base = [file("a", "1"), file("b", "2")];
    let old = Digest::sha256(b"old");
    let elsewhere = Elsewhere::from([((old, "x".parse().unwrap()), file("x", "9"))]);
    let delete = CommitOperation::Delete { path: "a".parse().unwrap() };
    let operations = [delete, copy("d", "b", None), copy("e", "x", Some(old))];
    let made = apply(&base, CommitMode::Merge, &operations, &elsewhere).unwrap();
    assert_eq!(made.files(), [file("b", "2"), file("d", "2"), file("e", "9")]);
    let missing = apply(&base, CommitMode::Merge, &[copy("d", "nothing", None)], &elsewhere);
    assert!(matches!(missing, Err(TreeError::NoSource(_))));
}

#[test]
fn h6_18_a_merge_whose_files_cannot_be_together_is_none() {
    let base = [file("a/b", "1")];
    for path in ["a", "A/B", "a/b/c"] {
        let made = apply(&base, CommitMode::Merge, &[add(path, "2")], &Elsewhere::new());
        assert!(matches!(made, Err(TreeError::Snapshot(SnapshotError::Paths(_)))), "{path}");
    }
    let nothing = CommitOperation::Delete { path: "a/b".parse().unwrap() };
    assert!(apply(&base, CommitMode::Merge, &[nothing], &Elsewhere::new()).is_err());
}

#[test]
fn h6_22_pickled_weights_are_seen_by_their_names() {
    let pickled = |path| has_pickled_weights(&Snapshot::new(vec![file(path, "1")]).unwrap());
    assert!(pickled("unet/model.BIN") && pickled("a.pt") && pickled("a.ckpt"));
    assert!(!pickled("model.safetensors") && !pickled("bin"));
}

#[test]
fn h6_15_a_tree_of_as_many_files_as_there_can_be_is_copied_file_by_file() {
    // Looked up one after the other, each from the front, this would take minutes.
    let files = |folder: &str| (0..50_000).map(|at| file(&format!("{folder}/{at}"), "1")).collect::<Vec<_>>();
    let base = files("a");
    let copies: Vec<_> = (0..50_000).map(|at| copy(&format!("b/{at}"), &format!("a/{at}"), None)).collect();
    let made = apply(&base, CommitMode::Merge, &copies, &Elsewhere::new()).unwrap();
    assert_eq!(made.files().len(), 100_000);
    let old = Digest::sha256(b"old");
    let copies: Vec<_> = (0..50_000).map(|at| copy(&format!("b/{at}"), &format!("a/{at}"), Some(old))).collect();
    let elsewhere = base.into_iter().map(|file| ((old, file.path.clone()), file)).collect();
    let made = apply(&[], CommitMode::Replace, &copies, &elsewhere).unwrap();
    assert_eq!(made.files().len(), 50_000);
}
