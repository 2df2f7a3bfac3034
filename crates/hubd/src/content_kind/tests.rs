use super::*;

#[test]
fn kinds_are_read_without_case_and_parameters() {
    for (text, kind) in
        [("image/PNG", "image/png"), (" text/plain; charset=utf-8", "text/plain"), ("a/b.c+d", "a/b.c+d")]
    {
        assert_eq!(text.parse::<ContentKind>().unwrap().as_str(), kind);
    }
    for bad in
        ["", "image", "image/", "/png", "a/b/c", "a b/c", "a/b\r\nx: y", "a/é", &format!("a/{}", "b".repeat(126))]
    {
        assert_eq!(bad.parse::<ContentKind>(), Err(NoKind), "{bad:?}");
    }
}

#[test]
fn what_was_said_goes_before_the_name_unless_it_says_nothing() {
    let told = |said, name| ContentKind::told(said, name).map(|kind| kind.to_string());
    assert_eq!(told("image/webp", "a.png").as_deref(), Some("image/webp"));
    assert_eq!(told(BYTES, "runs/a.PNG").as_deref(), Some("image/png"));
    assert_eq!(told("nonsense", "a.json").as_deref(), Some("application/json"));
    for (said, name) in [(BYTES, "model.safetensors"), (BYTES, "png"), ("", "a.png/b"), (BYTES, "")] {
        assert_eq!(told(said, name), None, "{name}");
    }
}

#[test]
fn what_may_run_is_not_shown() {
    let is_shown = |kind: &str| kind.parse::<ContentKind>().unwrap().is_shown();
    for kind in ["image/png", "video/mp4", "audio/x-own", "text/plain"] {
        assert!(is_shown(kind), "{kind}");
    }
    for kind in
        ["text/html", "image/svg+xml", "application/xml", "text/javascript", "application/pdf", "video/x+xml", BYTES]
    {
        assert!(!is_shown(kind), "{kind}");
    }
}
