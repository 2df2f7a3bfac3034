use super::*;

#[test]
fn h1_14_tokens_and_signatures_are_masked() {
    let text = "GET https://host/a?X-Amz-Credential=AKIA failed: Bearer abc.def, Signature=xyz";
    assert_eq!(redact(text, REDACTED_CHARS_MAX), "GET https://host/a failed: [redacted], [redacted]");
    assert_eq!(redact("X-Amz-Signature=ab X-Amz-Security-Token=cd", REDACTED_CHARS_MAX), "[redacted] [redacted]");
}

#[test]
fn h1_14_text_is_cut_between_characters() {
    let long = "é".repeat(2 * REDACTED_CHARS_MAX);
    assert_eq!(redact(&long, REDACTED_CHARS_MAX).chars().count(), REDACTED_CHARS_MAX);
    assert_eq!(redact(&long, 3), "ééé");
}
