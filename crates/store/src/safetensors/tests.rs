use super::*;

fn header(json: &str) -> Result<(), HeaderError> {
    check_header(json.as_bytes(), 100)
}

fn tensor(begin: i64, end: i64) -> String {
    format!(r#"{{"dtype":"U8","shape":[1],"data_offsets":[{begin},{end}]}}"#)
}

#[test]
fn m6_24_a_header_is_a_table_of_ranges_within_the_file() {
    assert_eq!(
        header(&format!(r#"{{"__metadata__":{{"a":"b"}},"x":{},"y":{}}}"#, tensor(0, 60), tensor(60, 100))),
        Ok(())
    );
    assert_eq!(header("{}"), Ok(()));
    let (x, y) = (String::from("x"), String::from("y"));
    assert_eq!(header(&format!(r#"{{"x":{}}}"#, tensor(0, 101))), Err(HeaderError::Beyond(x.clone())));
    assert_eq!(header(&format!(r#"{{"x":{}}}"#, tensor(60, 50))), Err(HeaderError::Backwards(x.clone())));
    assert_eq!(
        header(&format!(r#"{{"x":{},"y":{}}}"#, tensor(0, 61), tensor(60, 100))),
        Err(HeaderError::Overlap(x, y))
    );
    let negative = format!(r#"{{"x":{}}}"#, tensor(-1, 5));
    let twice = format!(r#"{{"x":{0},"x":{0}}}"#, tensor(0, 5));
    for bad in [&negative, &twice, "[]", "{", "null", r#"{"x":{}}"#, r#"{"x":{"data_offsets":[1]}}"#, "\u{0}"] {
        assert_eq!(header(bad), Err(HeaderError::Json), "{bad}");
    }
}

#[test]
fn m6_24_lengths_that_lie_are_found_without_memory_for_them() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("m.safetensors");
    let check = |length: u64, rest: &[u8]| {
        std::fs::write(&path, [&length.to_le_bytes(), rest].concat()).unwrap();
        check_safetensors(&path).unwrap()
    };
    assert_eq!(check(2, b"{}"), Ok(()));
    assert_eq!(check(2 << 30, b"{}"), Err(HeaderError::Length(2 << 30)));
    assert_eq!(check(u64::MAX, b"{}"), Err(HeaderError::Length(u64::MAX)));
    assert_eq!(check(0, b"{}"), Err(HeaderError::Length(0)));
    assert_eq!(check(3, b"{}"), Err(HeaderError::Short));
    std::fs::write(&path, b"1234567").unwrap();
    assert_eq!(check_safetensors(&path).unwrap(), Err(HeaderError::Short));
}
