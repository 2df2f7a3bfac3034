use super::*;

#[test]
fn h6_20_the_types_of_a_header_are_counted_and_the_most_common_one_is_named() {
    let header = br#"{"__metadata__":{"dtype":"F64"},"a":{"dtype":"BF16","shape":[1],"data_offsets":[0,2]},
        "b":{"dtype":"BF16"},"c":{"dtype":"F32"}}"#;
    let found = dtypes(header);
    assert_eq!(found, BTreeMap::from([("BF16".to_owned(), 2), ("F32".to_owned(), 1)]));
    assert_eq!(prevalent(&found).as_deref(), Some("bf16"));
    let named = |name: &str| prevalent(&BTreeMap::from([(name.to_owned(), 1)]));
    assert_eq!(named("F16").as_deref(), Some("fp16"));
    assert_eq!(named("F8_E5M2").as_deref(), Some("fp8"));
    assert_eq!(named("I8").as_deref(), Some("i8"));
    assert_eq!(prevalent(&BTreeMap::new()), None);
}

#[test]
fn h6_20_what_is_no_header_names_no_type() {
    for text in [&b"{"[..], b"[]", br#"{"a":{}}"#, br#"{"a":{"dtype":"<script>"}}"#, br#"{"a":{"dtype":""}}"#, b"\xff"]
    {
        assert!(dtypes(text).is_empty(), "{text:?}");
    }
    let many: Vec<String> = (0..100).map(|number| format!(r#""t{number}":{{"dtype":"X{number}"}}"#)).collect();
    assert!(dtypes(format!("{{{}}}", many.join(",")).as_bytes()).is_empty());
}

#[test]
fn h6_20_a_header_that_says_it_is_longer_than_the_file_or_than_any_is_not_read() {
    assert_eq!(header_end(2_u64.to_le_bytes(), 10), Some(10));
    assert_eq!(header_end(3_u64.to_le_bytes(), 10), None);
    assert_eq!(header_end(0_u64.to_le_bytes(), 10), None);
    for length in [u64::MAX, 2 << 30, HEADER_BYTES_MAX + 1] {
        assert_eq!(header_end(length.to_le_bytes(), u64::MAX), None);
    }
    assert!(is_named(&"unet/Model.SafeTensors".parse().unwrap()));
    assert!(!is_named(&"model.safetensors.index.json".parse().unwrap()));
}
