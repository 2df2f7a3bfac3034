use super::{PageQuery, open, page, seal};

fn numbers(limit: u16, cursor: Option<String>, all: &[&'static str]) -> (Vec<&'static str>, Option<String>) {
    let page = page(all.to_vec(), &PageQuery { limit: Some(limit), cursor }, |name| name).unwrap();
    (page.items, page.next_cursor)
}

#[test]
fn p20_a_cursor_survives_changes_of_the_list() {
    let (first, cursor) = numbers(2, None, &["a", "c", "e"]);
    assert_eq!(first, ["a", "c"]);
    // `c` went away, `b` and `d` came.
    let (second, cursor) = numbers(2, cursor, &["a", "b", "d", "e"]);
    assert_eq!((second, cursor), (vec!["d", "e"], None));
    assert_eq!(numbers(2, Some(seal("z")), &["a"]), (vec![], None));
}

#[test]
fn cursors_are_opaque_and_checked() {
    assert_eq!(open(&seal("a/ü")).unwrap(), "a/ü");
    assert!(open("?").is_err());
    assert!(open("_w").is_err());
}
