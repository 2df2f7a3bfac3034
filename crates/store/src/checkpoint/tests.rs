use serde_json::{Map, Value, json};

use super::*;
use crate::safetensors::{METADATA, read_header};

/// A file of these tensors, one byte each number.
fn safetensors(tensors: &[(&str, &[u8])]) -> Vec<u8> {
    let (mut header, mut data) = (Map::new(), Vec::new());
    for (name, bytes) in tensors {
        let end = data.len() + bytes.len();
        header.insert(
            (*name).to_owned(),
            json!({"dtype": "U8", "shape": [bytes.len()], "data_offsets": [data.len(), end]}),
        );
        data.extend_from_slice(bytes);
    }
    header.insert(METADATA.to_owned(), json!({"format": "pt"}));
    let header = serde_json::to_vec(&header).unwrap();
    [&(header.len() as u64).to_le_bytes()[..], &header, &data].concat()
}

/// The tensors of a file.
fn tensors(path: &Path) -> BTreeMap<String, Vec<u8>> {
    let header = read_header(path).unwrap().unwrap();
    let bytes = fs::read(path).unwrap();
    let data = &bytes[8 + header.len()..];
    let entries: BTreeMap<String, Value> = serde_json::from_slice(&header).unwrap();
    let range = |entry: &Value| serde_json::from_value::<(usize, usize)>(entry["data_offsets"].clone()).unwrap();
    let entries = entries.into_iter().filter(|(name, _)| name != METADATA);
    entries.map(|(name, entry)| (name, data[range(&entry).0..range(&entry).1].to_vec())).collect()
}

fn sharded() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("m-1.safetensors"), safetensors(&[("a", b"first"), ("b", b"second!")])).unwrap();
    fs::write(dir.path().join("m-2.safetensors"), safetensors(&[("c", b"third")])).unwrap();
    let map = json!({"a": "m-1.safetensors", "b": "m-1.safetensors", "c": "m-2.safetensors"});
    index(dir.path(), &map);
    dir
}

fn index(dir: &Path, map: &Value) {
    fs::write(dir.join("m.safetensors.index.json"), json!({"metadata": {}, "weight_map": map}).to_string()).unwrap();
}

fn found(dir: &Path) -> Option<Checkpoint> {
    checkpoint(dir).unwrap().unwrap()
}

#[test]
fn m6_27_shards_are_merged_once_into_one_valid_file() {
    let dir = sharded();
    let Some(Checkpoint::Shards(merge)) = found(dir.path()) else { panic!("shards are merged") };
    let size = merge.size_bytes();
    let path = merge.write().unwrap();
    assert_eq!(
        (path.as_path(), fs::metadata(&path).unwrap().len()),
        (dir.path().join("m.safetensors").as_path(), size)
    );
    let expected = [("a", &b"first"[..]), ("b", b"second!"), ("c", b"third")];
    assert_eq!(tensors(&path), expected.map(|(name, bytes)| (name.to_owned(), bytes.to_vec())).into());
    assert!(matches!(found(dir.path()), Some(Checkpoint::File(there)) if there == path));
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 4);
}

#[test]
fn m6_27_a_merge_that_is_not_whole_is_made_again() {
    let dir = sharded();
    let Some(Checkpoint::Shards(merge)) = found(dir.path()) else { panic!("shards are merged") };
    let path = merge.write().unwrap();
    let whole = fs::read(&path).unwrap();
    fs::remove_file(&path).unwrap();
    fs::write(&path, &whole[..whole.len() - 1]).unwrap();
    // What a killed merge left is no obstacle.
    fs::write(dir.path().join("m.safetensors~"), b"half").unwrap();
    let Some(Checkpoint::Shards(merge)) = found(dir.path()) else { panic!("a cut file is not used") };
    assert_eq!(fs::read(merge.write().unwrap()).unwrap(), whole);
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 4);
}

#[test]
fn m6_27_one_file_is_used_as_it_is_and_several_without_index_or_with_a_config_are_none() {
    let dir = tempfile::tempdir().unwrap();
    assert!(found(dir.path()).is_none());
    fs::write(dir.path().join("x.safetensors"), b"").unwrap();
    assert!(matches!(found(dir.path()), Some(Checkpoint::File(path)) if path.ends_with("x.safetensors")));
    fs::write(dir.path().join("y.safetensors"), b"").unwrap();
    assert!(found(dir.path()).is_none());
    for layout in LAYOUTS {
        let dir = sharded();
        fs::write(dir.path().join(layout), b"{}").unwrap();
        assert!(found(dir.path()).is_none());
    }
}

#[test]
fn m6_27_an_index_that_lies_is_an_error_and_makes_nothing() {
    for map in [
        json!({"a": "../m-1.safetensors"}),
        json!({"a": "absent.safetensors"}),
        json!({"a": "m-2.safetensors"}),
        json!({"z": "m-1.safetensors"}),
        json!({}),
        json!([]),
    ] {
        let dir = sharded();
        index(dir.path(), &map);
        assert!(matches!(checkpoint(dir.path()).unwrap(), Err(FormatError::Index { .. })), "{map}");
        assert!(!dir.path().join("m.safetensors").exists());
    }
    let dir = sharded();
    fs::write(dir.path().join("m-2.safetensors"), safetensors(&[("c", b"x"), ("a", b"twice")])).unwrap();
    assert!(matches!(checkpoint(dir.path()).unwrap(), Err(FormatError::Index { .. })));
    fs::write(dir.path().join("m-2.safetensors"), b"short").unwrap();
    assert!(matches!(checkpoint(dir.path()).unwrap(), Err(FormatError::Broken { .. })));
}
