use super::MimeList;

#[test]
fn h14_2_kinds_are_accepted_by_name_or_family_in_any_case() {
    let list = MimeList::new(["Image/*", "application/PDF"]);
    for kind in ["image/png", "IMAGE/JPEG", "application/pdf"] {
        assert!(list.accepts(kind), "{kind}");
    }
    for kind in ["application/zip", "imagery/png", "image", "", "text/image/png"] {
        assert!(!list.accepts(kind), "{kind}");
    }
    assert!(MimeList::default().accepts("anything/else"));
}
