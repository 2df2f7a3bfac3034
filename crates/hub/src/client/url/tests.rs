use super::*;

#[test]
fn h1_6_nothing_is_safe_but_the_unreserved() {
    assert_eq!(encoded("Az09-._~"), "Az09-._~");
    assert_eq!(encoded("a/b?c=d&e#f%g h:é"), "a%2Fb%3Fc%3Dd%26e%23f%25g%20h%3A%C3%A9");
    assert_eq!(part("call", "a/../b").unwrap(), "a%2F..%2Fb");
    for bad in ["", ".", "..", &"a".repeat(1025)] {
        assert!(matches!(part("call", bad), Err(HubError::Refused { operation: "call", .. })), "{bad}");
    }
}
