use std::fs;

use super::*;

fn index(dir: &Path) -> RefIndex {
    fs::create_dir_all(dir.join("locks")).unwrap();
    RefIndex::new(&Layout::new(dir))
}

#[test]
fn m8_1_a_ref_is_noted_with_path_bytes_and_time() {
    let dir = tempfile::tempdir().unwrap();
    let (index, model) = (index(dir.path()), dir.path().join("snapshots/a"));
    fs::create_dir_all(&model).unwrap();
    fs::write(model.join("f"), [0; 12]).unwrap();
    assert!(index.record("o/r", &model).unwrap());
    let first = index.read().unwrap()["o/r"].clone();
    assert!(!index.record("o/r", &model).unwrap());
    let second = index.read().unwrap()["o/r"].clone();
    assert_eq!((first.bytes, &first.path), (12, &model));
    assert!(second.bytes == 12 && second.last_used > first.last_used);
    let text: Value = serde_json::from_slice(&fs::read(dir.path().join("ref-index.json")).unwrap()).unwrap();
    assert_eq!(text["o/r"].as_object().unwrap().len(), 3);
}

#[test]
fn m8_1_what_cannot_be_read_is_empty_and_what_has_no_path_is_skipped() {
    let dir = tempfile::tempdir().unwrap();
    let index = index(dir.path());
    for bad in ["", "{", "[]", "null", "\u{0}\u{0}"] {
        fs::write(dir.path().join("ref-index.json"), bad).unwrap();
        assert!(index.read().unwrap().is_empty(), "{bad:?}");
    }
    let mixed = r#"{"a":{"bytes":1},"b":{"path":"/x","bytes":1,"last_used":2.5,"more":[]},"c":7,"d":{"path":"/y"}}"#;
    fs::write(dir.path().join("ref-index.json"), mixed).unwrap();
    let models = index.read().unwrap();
    assert_eq!(models.keys().collect::<Vec<_>>(), ["b", "d"]);
    assert_eq!(models["b"].last_used, 2.5);
}
