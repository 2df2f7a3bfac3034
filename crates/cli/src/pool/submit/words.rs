//! What the words after `submit FUNCTION` mean.

use std::{io, path::Path};

use serde_json::Value;

use crate::{
    bounded,
    exit::Failure,
    payload::{self, PAYLOAD_BYTES_MAX},
    tokens::{Fields, Token, Tokens},
};

/// How a payload is given.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Given<'a> {
    /// Words over a base payload. `fields` tells whether the payload's fields have to be known.
    Words { fields: bool },
    /// Standard input.
    Stdin,
    /// A file.
    File(&'a str),
    /// JSON text.
    Json(Value),
}

/// Tells how the payload is given; a single word may be a whole payload when there is no base.
pub(super) fn given<'a>(words: &'a [String], has_base: bool) -> Given<'a> {
    let [word] = words else { return Given::Words { fields: !words.is_empty() } };
    if has_base || !matches!(Token::parse(word), Token::Bare(_)) {
        return Given::Words { fields: true };
    }
    if word == "-" {
        Given::Stdin
    } else if let Some(path) = word.strip_prefix('@') {
        Given::File(path)
    } else if let Ok(value) = serde_json::from_str(word) {
        Given::Json(value)
    } else {
        Given::Words { fields: true }
    }
}

/// Reads a whole payload. Blank text is `{}`.
///
/// # Errors
/// What cannot be read, or is no JSON.
pub(super) fn whole(given: Given<'_>) -> Result<Option<Value>, Failure> {
    let (read, origin) = match given {
        Given::Words { .. } => return Ok(None),
        Given::Json(value) => return Ok(Some(value)),
        Given::Stdin => (bounded::read(io::stdin().lock(), PAYLOAD_BYTES_MAX), "stdin".to_owned()),
        Given::File(path) => (bounded::read_file(Path::new(path), PAYLOAD_BYTES_MAX), format!("file {path}")),
    };
    let bytes = read.map_err(|error| Failure::usage(format!("{origin}: {error}")))?;
    let text =
        String::from_utf8(bytes).map_err(|_| Failure::usage(format!("{origin} is not valid JSON: not UTF-8")))?;
    if text.trim().is_empty() { Ok(Some(payload::empty())) } else { payload::json(&text, &origin).map(Some) }
}

/// Merges words over a base. Without known fields every value is guessed.
///
/// # Errors
/// A word that does not fit.
pub(super) fn merged(base: Value, words: &[String], fields: Option<&Fields>) -> Result<Value, Failure> {
    Tokens { fields }.apply(base, words).map_err(|error| Failure::usage(error.to_string()))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn words(words: &[&str]) -> Vec<String> {
        words.iter().map(|&word| word.to_owned()).collect()
    }

    #[test]
    fn c80_a_single_word_may_be_the_payload() {
        let cases = [
            ("-", Given::Stdin),
            ("@p.json", Given::File("p.json")),
            ("{\"a\":1}", Given::Json(json!({"a": 1}))),
            ("5", Given::Json(json!(5))),
            ("a cat", Given::Words { fields: true }),
            ("a=1", Given::Words { fields: true }),
            ("user@host", Given::Words { fields: true }),
        ];
        for (word, expected) in cases {
            assert_eq!(given(&words(&[word]), false), expected, "{word}");
        }
        assert_eq!(given(&[], false), Given::Words { fields: false });
        assert_eq!(given(&words(&["-", "a=1"]), false), Given::Words { fields: true });
        assert_eq!(given(&words(&["5"]), true), Given::Words { fields: true });
    }

    #[test]
    fn c80_blank_files_are_empty_payloads() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("blank");
        std::fs::write(&path, " \n").unwrap();
        assert_eq!(whole(Given::File(path.to_str().unwrap())).unwrap(), Some(json!({})));
        let missing = whole(Given::File("/nope/nope")).unwrap_err();
        assert_eq!(missing.exit().code(), 2);
    }
}
