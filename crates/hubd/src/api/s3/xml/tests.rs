use proptest::prelude::*;

use super::*;

fn finish(inner: &str) -> String {
    format!("<CompleteMultipartUpload xmlns=\"{NAMESPACE}\">{inner}</CompleteMultipartUpload>")
}

fn part(number: &str, etag: &str) -> String {
    format!("<Part><PartNumber>{number}</PartNumber><ETag>{etag}</ETag></Part>")
}

#[test]
fn h4_29_ends_of_transfers_are_read_as_clients_write_them() {
    let swapped = "<Part><ETag>\"b\"</ETag><PartNumber>7</PartNumber><ChecksumCRC32>x</ChecksumCRC32></Part>";
    let text = finish(&format!("{}\n  {swapped}", part("1", "&quot;a&quot;")));
    assert_eq!(parts(text.as_bytes()).unwrap(), [(1, "a".to_owned()), (7, "b".to_owned())]);
    let prolog = format!("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n{}", finish(&part("1", "a")));
    assert_eq!(parts(prolog.as_bytes()).unwrap().len(), 1);
}

#[test]
fn h4_29_what_names_no_parts_is_refused() {
    let many: String = (1..=PARTS_MAX + 1).map(|number| part(&number.to_string(), "a")).collect();
    let entity = format!("<!DOCTYPE x [<!ENTITY y \"zz\">]>{}", finish(&part("1", "&y;")));
    let others = [
        String::new(),
        "{}".to_owned(),
        finish(""),
        finish(&part("x", "a")),
        finish(&part("-1", "a")),
        finish("<Part><PartNumber>1</PartNumber></Part>"),
        finish(&part("2", "a")).replace("</Part>", ""),
        finish(&format!("{}{}", part("2", "a"), part("1", "b"))),
        finish(&format!("{}{}", part("1", "a"), part("1", "b"))),
        finish(&many),
        entity,
    ];
    for other in others {
        assert!(parts(other.as_bytes()).is_err(), "{}", other.get(..200).unwrap_or(&other));
    }
    assert!(parts(b"\xff\xfe<").is_err());
}

proptest! {
    #[test]
    fn no_body_panics(text in "\\PC{0,200}", inner in "[<>/&;!A-Za-z\"\\[\\]]{0,80}") {
        drop(parts(text.as_bytes()));
        drop(parts(finish(&inner).as_bytes()));
    }
}
