use super::*;

#[test]
fn h1_14_secrets_do_not_show() {
    let token: BearerToken = " tok-secret ".parse().unwrap();
    let url: SignedUrl = "https://host/a/b?X-Amz-Signature=secret#secret".parse().unwrap();
    assert_eq!((token.reveal(), url.without_query()), ("tok-secret", "https://host/a/b"));
    assert!(!format!("{token:?} {url:?}").contains("secret"));
}

#[test]
fn what_cannot_be_sent_is_refused() {
    for (text, error) in [
        ("", SecretError::Empty),
        ("a b", SecretError::Character),
        ("a\r\nHost: x", SecretError::Character),
        ("ü", SecretError::Character),
        (&"a".repeat(TOKEN_BYTES_MAX + 1), SecretError::TooLong),
    ] {
        assert_eq!(text.parse::<BearerToken>().err(), Some(error));
    }
    for text in ["file:///etc/passwd", "ftp://h/a", "//h/a", "http://", "http:///a", "http://user:pw@h/a", "h/a"] {
        assert_eq!(text.parse::<SignedUrl>().err(), Some(SecretError::Scheme), "{text}");
    }
    assert!("HTTP://[::1]:80/a".parse::<SignedUrl>().is_ok());
}
