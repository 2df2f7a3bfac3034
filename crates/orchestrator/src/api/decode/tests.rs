use serde::Deserialize;

use super::{FieldError, FieldProblem, Packed, pack, query};
use crate::payload::from_json;

#[derive(Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
struct Inner {
    n: u8,
}

#[derive(Debug, PartialEq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Word {
    One,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Outer<'a> {
    text: &'a str,
    #[serde(borrow)]
    raw: Option<Packed<'a>>,
    #[serde(default)]
    list: Vec<Inner>,
    word: Option<Word>,
}

fn error(text: &str) -> String {
    pack::<Outer<'_>>(&from_json(text.as_bytes()).unwrap()).unwrap_err().to_string()
}

#[test]
fn values_are_borrowed_and_raw_ones_left_alone() {
    let bytes = from_json(br#"{"text":"a","raw":{"x":[1]},"list":[{"n":1}],"word":"one"}"#).unwrap();
    let outer: Outer<'_> = pack(&bytes).unwrap();
    assert_eq!((outer.text, outer.list, outer.word), ("a", vec![Inner { n: 1 }], Some(Word::One)));
    assert_eq!(outer.raw.unwrap().0, [0x81, 0xa1, b'x', 0x91, 1]);
    let bytes = from_json(br#"{"text":"a","raw":null,"word":null}"#).unwrap();
    let outer: Outer<'_> = pack(&bytes).unwrap();
    assert!(outer.raw.is_none() && outer.word.is_none());
}

#[test]
fn errors_name_the_field() {
    assert_eq!(error(r#"{"text":"a","other":1}"#), "unknown field `$.other`");
    assert_eq!(error(r#"{"text":"a","list":[{"n":1},{"m":1}]}"#), "unknown field `$.list[1].m`");
    assert_eq!(error("{}"), "missing field - at `$.text`");
    assert_eq!(
        error(r#"{"text":"a","list":[{"n":300}]}"#),
        "invalid value: integer `300`, expected u8 - at `$.list[0].n`"
    );
    assert_eq!(error(r#"{"text":5}"#), "invalid type: integer `5`, expected a borrowed string - at `$.text`");
    assert!(error(r#"{"text":"a","word":"two"}"#).starts_with("unknown variant `two`, expected `one` - at `$.word`"));
}

#[test]
fn queries_are_typed() {
    #[derive(Debug, Default, PartialEq, Deserialize)]
    #[serde(deny_unknown_fields, default)]
    struct Asked {
        text: Option<String>,
        number: Option<u64>,
        flag: Option<bool>,
        word: Option<Word>,
    }
    assert_eq!(query::<Asked>(None).unwrap(), Asked::default());
    let asked: Asked = query(Some("text=a+b%26&number=7&flag=true&word=one")).unwrap();
    let expected = Asked { text: Some("a b&".to_owned()), number: Some(7), flag: Some(true), word: Some(Word::One) };
    assert_eq!(asked, expected);
    let unknown = query::<Asked>(Some("number=1&x=2")).unwrap_err();
    assert_eq!(unknown, FieldError { path: ".x".to_owned(), problem: FieldProblem::Unknown });
    assert_eq!(query::<Asked>(Some("number=-1")).unwrap_err().to_string(), "expected a whole number - at `$.number`");
    assert_eq!(query::<Asked>(Some("flag=yes")).unwrap_err().to_string(), "expected true or false - at `$.flag`");
    assert_eq!(query::<Asked>(Some("number=1&number=2")).unwrap_err().to_string(), "given twice - at `$.number`");
}
