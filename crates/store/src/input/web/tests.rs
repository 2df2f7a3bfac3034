use super::*;

fn checked(url: &str) -> Result<(), Refusal> {
    check(&url.parse().expect("a URL"), AddressRule::Public)
}

#[test]
fn h14_1_addresses_in_plain_or_odd_spelling_are_checked_where_nobody_resolves_them() {
    for url in
        ["http://127.0.0.1/a", "http://2130706433/", "http://0x7f.1/", "https://[::1]:8443/", "http://[::ffff:a00:1]/"]
    {
        assert!(matches!(checked(url), Err(Refusal::Private(_))), "{url}");
    }
    for url in ["ftp://example.com/a", "file:///etc/passwd", "data:,a"] {
        assert!(matches!(checked(url), Err(Refusal::Scheme)), "{url}");
    }
    for url in ["http://8.8.8.8/", "https://example.com/a", "https://[2606:4700::1111]/"] {
        assert!(checked(url).is_ok(), "{url}");
    }
}
