//! Every address form of section 3, and the texts that are none.
use super::{Address, AddressError};

#[track_caller]
fn parsed(text: &str) -> (String, bool) {
    let address = Address::parse(text, false).expect("an address");
    assert_eq!(Address::parse(&address.to_string(), false).as_ref(), Ok(&address), "display reads back");
    (format!("{} {}", address.host(), address.port()), address.tls())
}

#[test]
fn scheme_decides_tls_in_any_case() {
    assert_eq!(parsed("grpcs://o.example:50051"), ("o.example 50051".into(), true));
    assert_eq!(parsed("HTTPS://o.example"), ("o.example 443".into(), true));
    assert_eq!(parsed("Grpc://o.example:443"), ("o.example 443".into(), false));
    assert_eq!(parsed("http://o.example/"), ("o.example 80".into(), false));
}

#[test]
fn without_scheme_only_port_443_is_tls() {
    assert_eq!(parsed("o.example:443"), ("o.example 443".into(), true));
    assert_eq!(parsed("o.example:8080"), ("o.example 8080".into(), false));
    assert!(Address::parse("o.example:8080", true).expect("an address").tls());
    assert!(!Address::parse("grpc://o.example:8080", true).expect("an address").tls(), "an explicit scheme wins");
}

#[test]
fn ipv6_needs_brackets_for_a_port() {
    assert_eq!(parsed("grpc://[::1]:7000"), ("::1 7000".into(), false));
    assert_eq!(parsed("::1"), ("::1 80".into(), false));
}

#[test]
fn a_redirect_keeps_the_tls_mode() {
    let tls = Address::parse("grpcs://a:1", false).expect("an address");
    assert_eq!(tls.redirected("b:2").expect("a target").to_string(), "grpcs://b:2");
    let plain = Address::parse("grpc://a:1", false).expect("an address");
    assert_eq!(plain.redirected("b:443").expect("a target").to_string(), "grpc://b:443");
    assert!(plain.redirected("grpcs://b:2").is_err(), "a target has no scheme");
}

#[test]
fn refused_texts() {
    assert!(matches!(Address::parse("  ", false), Err(AddressError::NoHost(_))));
    assert!(matches!(Address::parse("grpc://:80", false), Err(AddressError::NoHost(_))));
    assert!(matches!(Address::parse("ftp://a:1", false), Err(AddressError::UnknownScheme { .. })));
    assert!(matches!(Address::parse("a:99999", false), Err(AddressError::BadPort(_))));
    assert!(matches!(Address::parse("a:0", false), Err(AddressError::BadPort(_))));
    assert!(matches!(Address::parse("grpc://a:1/x", false), Err(AddressError::Path(_))));
}
