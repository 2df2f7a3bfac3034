//! Counts of sound files, and none of others.
use super::*;

fn counted(header: &str) -> Result<BTreeMap<String, u64>, HeaderError> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("m.safetensors");
    let length = u64::try_from(header.len()).unwrap().to_le_bytes();
    std::fs::write(&path, [&length[..], header.as_bytes(), &[0; 8]].concat()).unwrap();
    tensor_dtypes(&path).unwrap()
}

#[test]
fn m10_8_tensors_are_counted_by_type() {
    let tensor = |dtype: &str, begin: u64| {
        format!(r#"{{"dtype":"{dtype}","shape":[1],"data_offsets":[{begin},{}]}}"#, begin + 2)
    };
    let header = format!(
        r#"{{"__metadata__":{{"dtype":"I8"}},"a":{},"b":{},"c":{}}}"#,
        tensor("BF16", 0),
        tensor("F8_E4M3", 2),
        tensor("BF16", 4)
    );
    assert_eq!(counted(&header), Ok(BTreeMap::from([("BF16".into(), 2), ("F8_E4M3".into(), 1)])));
    assert_eq!(counted("{}"), Ok(BTreeMap::new()));
}

#[test]
fn m10_8_broken_files_are_not_counted() {
    let beyond = r#"{"a":{"dtype":"F32","shape":[9],"data_offsets":[0,36]}}"#;
    assert_eq!(counted(beyond), Err(HeaderError::Beyond("a".into())));
    for untyped in [r#"{"a":{"data_offsets":[0,2]}}"#, r#"{"a":{"dtype":7,"data_offsets":[0,2]}}"#, "[]"] {
        assert_eq!(counted(untyped), Err(HeaderError::Json), "{untyped}");
    }
    let dir = tempfile::tempdir().unwrap();
    assert_eq!(tensor_dtypes(&dir.path().join("none")).unwrap_err().kind(), io::ErrorKind::NotFound);
}
