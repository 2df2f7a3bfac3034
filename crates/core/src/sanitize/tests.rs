//! Section 10: what is removed, what stays, and the cut.
use gen_worker_proto::limits::SAFE_MESSAGE_CHARS_MAX;
use proptest::prelude::*;

use super::sanitize;

#[test]
fn credentials_are_redacted() {
    assert_eq!(sanitize(" denied: Authorization: Bearer abc.def-_9 sent "), "denied: Authorization: [redacted] sent");
    assert_eq!(sanitize("bearer x"), "[redacted]");
    assert_eq!(
        sanitize("X-Amz-Credential=AKIA/2026 and Signature=ab%2F12&Expires=1"),
        "[redacted] and [redacted]&Expires=1"
    );
}

#[test]
fn secrets_by_their_keys_are_redacted() {
    assert_eq!(sanitize("refused: token=abc&expires=1, API_KEY=k1"), "refused: [redacted]&expires=1, [redacted]");
    assert_eq!(sanitize("access_token=abc x-goog-signature=ff sig=0"), "[redacted] [redacted] [redacted]");
    assert_eq!(sanitize("hf_token=abc"), "hf_[redacted]");
    assert_eq!(sanitize("tokens=3 mytoken=4"), "tokens=3 mytoken=4", "other words");
}

#[test]
fn users_of_urls_and_file_urls_vanish() {
    assert_eq!(sanitize("GET https://me:pw@h.example/a failed"), "GET https://[redacted]@h.example/a failed");
    assert_eq!(sanitize("s3://key:se@cret@bucket"), "s3://[redacted]@bucket");
    assert_eq!(sanitize("https://h.example/@user a@b"), "https://h.example/@user a@b");
    assert_eq!(sanitize("open file:///var/lib/x.bin: denied"), "open [path] denied");
}

#[test]
fn url_queries_vanish() {
    assert_eq!(
        sanitize("GET https://h.example/a/b.bin?X-Amz-Signature=aa&k=v failed"),
        "GET https://h.example/a/b.bin failed"
    );
    assert_eq!(sanitize("is it ready? no"), "is it ready? no");
}

#[test]
fn absolute_paths_vanish() {
    assert_eq!(sanitize("open /var/lib/models/x.bin: no such file"), "open [path]: no such file");
    assert_eq!(sanitize("at (\"/srv/a b\")"), "at (\"[path] b\")");
    assert_eq!(sanitize("and/or 1/2 a / b owner/repo"), "and/or 1/2 a / b owner/repo");
}

#[test]
fn ordinary_texts_stay() {
    let text = "Expected `str`, got `int` - at `$.field`";
    assert_eq!(sanitize(text), text);
    assert_eq!(sanitize("the bearer of news"), "the [redacted] news");
    assert_eq!(sanitize("forbearer x; assignature=1"), "forbearer x; assignature=1");
}

#[test]
fn the_text_is_cut() {
    assert_eq!(sanitize(&"ä".repeat(3000)).chars().count(), SAFE_MESSAGE_CHARS_MAX);
}

proptest! {
    #[test]
    fn no_text_breaks_it_and_tokens_never_survive(head in ".{0,40}", token in "[A-Za-z0-9._-]{12,40}", tail in ".{0,40}") {
        let out = sanitize(&format!("{head} Bearer {token} {tail}"));
        prop_assert!(!out.contains(&token) || head.contains(&token) || tail.contains(&token));
        prop_assert!(out.chars().count() <= SAFE_MESSAGE_CHARS_MAX);
    }
}
