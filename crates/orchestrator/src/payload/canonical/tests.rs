use super::{check_map, digest};
use crate::payload::{ReadError, from_json};

fn of(text: &str) -> [u8; 32] {
    digest(&from_json(text.as_bytes()).unwrap(), &[]).unwrap()
}

#[test]
fn p2_equal_bodies_have_equal_digests() {
    assert_eq!(of(r#"{"b":[1,{"y":2,"x":1.5}],"a":null}"#), of(r#"{ "a" : null, "b" : [1, {"x":15e-1, "y":2}] }"#));
    assert_ne!(of(r#"{"a":1}"#), of(r#"{"a":1.0}"#));
    assert_ne!(of(r#"{"a":[1,2]}"#), of(r#"{"a":[2,1]}"#));
    // A wider encoding of the same value.
    assert_eq!(digest(&[0x81, 0xd9, 1, b'a', 0xcd, 0, 1], &[]), digest(&[0x81, 0xa1, b'a', 1], &[]));
}

#[test]
fn p2_the_context_cannot_leak_into_the_body() {
    assert_ne!(digest(&[0x80], &[b"ab", b"c"]), digest(&[0x80], &[b"a", b"bc"]));
}

#[test]
fn p3_messagepack_bodies_are_checked_before_they_pass() {
    assert_eq!(check_map(&[0x81, 0xa1, b'a', 0xc4, 1, 0]), Ok(()));
    assert_eq!(check_map(&[]), Err(ReadError::Truncated(0)));
    assert_eq!(check_map(&[0x90]), Err(ReadError::NotAMap));
    assert_eq!(check_map(&[0x80, 0x80]), Err(ReadError::Trailing(1)));
    assert_eq!(check_map(&[0x81, 1, 1]), Err(ReadError::Key(1)));
    assert_eq!(check_map(&[0xdf, 0xff, 0xff, 0xff, 0xff, 1]), Err(ReadError::Truncated(5)));
}
