//! Refs that are none, and names that do not collide.

use super::*;

#[test]
fn e90_refs_are_trimmed_and_stay_in_their_place() {
    for (text, reference) in [(" /a/b.png ", "a/b.png"), ("//a", "a"), ("httpd/a", "httpd/a")] {
        assert_eq!(file_ref(text).expect("a ref").as_str(), reference);
    }
    for text in ["", " ", "/", "http://a/b", "HTTPS://a", "../a", "a/../b", "a//b", "a\\b", "a\nb", &"a".repeat(1025)] {
        let error = file_ref(text).expect_err(text);
        assert_eq!(error.class(), crate::FailureClass::Invalid, "{text}");
    }
}

#[test]
fn h9_11_e91_later_default_names_do_not_replace_the_first() {
    let names = MediaNames::default();
    let next = |media| names.next("r1", media, "webp");
    assert_eq!(next(Media::Image), "outputs/r1/image.webp");
    assert_eq!(next(Media::Image), "outputs/r1/image-2.webp");
    assert_eq!(next(Media::Audio), "outputs/r1/audio.webp");
    assert_eq!(next(Media::Image), "outputs/r1/image-3.webp");
    assert_eq!(next(Media::Video), "outputs/r1/video.webp");
}
