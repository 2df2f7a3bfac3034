//! The source of a conversion, a dataset or a training job: `payload.source.ref` (wire contract, 9.8).

use super::{ReadError, Reader, Token};

/// Longest ref that is looked at; longer ones are none that is anywhere.
const REF_BYTES_MAX: usize = 1_024;

/// The ref of the source that a payload names, without blanks around it: workers look for its files so. `None` where there is none,
/// where its ref is blank or longer than any, or where the payload is not what it should be: its worker refuses it then.
#[must_use]
pub fn source(payload: &[u8]) -> Option<String> {
    read(payload).ok().flatten()
}

fn read(payload: &[u8]) -> Result<Option<String>, ReadError> {
    let mut reader = Reader::new(payload);
    let Some(fields) = find(&mut reader, "source")? else { return Ok(None) };
    let Some(raw) = find(&mut Reader::new(fields), "ref")? else { return Ok(None) };
    Ok(match Reader::new(raw).token() {
        Ok(Token::Text(text)) if text.len() <= REF_BYTES_MAX => {
            Some(text.trim().to_owned()).filter(|reference| !reference.is_empty())
        }
        _ => None,
    })
}

/// The value under this key of the map that comes next, the last of them; none in anything else.
fn find<'a>(reader: &mut Reader<'a>, key: &str) -> Result<Option<&'a [u8]>, ReadError> {
    let mut found = None;
    let Token::Map(entries) = reader.token()? else { return Ok(found) };
    for _ in 0..entries {
        let name = reader.raw()?;
        let value = reader.raw()?;
        if matches!(Reader::new(name).token(), Ok(Token::Text(text)) if text == key) {
            found = Some(value);
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn of(payload: &Value) -> Option<String> {
        source(&rmp_serde::to_vec_named(payload).unwrap())
    }

    #[test]
    fn w9_8_a_source_is_read_where_it_stands() {
        let expected = Some("acme/base:v1".to_owned());
        assert_eq!(of(&json!({"steps": [1, {"source": 2}], "source": {"ref": "acme/base:v1"}, "z": null})), expected);
        assert_eq!(of(&json!({"source": {"x": {"ref": "no"}, "ref": " acme/base:v1\n"}})), expected);
    }

    #[test]
    fn w9_8_m3_10_what_names_no_source_is_the_workers_matter() {
        for payload in [
            json!({}),
            json!({"source": null}),
            json!({"source": "acme/base"}),
            json!({"source": {"ref": " "}}),
            json!({"source": {"ref": 7}}),
            json!({"source": {"ref": "x".repeat(REF_BYTES_MAX + 1)}}),
            json!({"inner": {"source": {"ref": "acme/base"}}}),
        ] {
            assert_eq!(of(&payload), None, "{payload}");
        }
        for bytes in [&b""[..], b"\x81", b"\x81\xa6source", b"\x81\xa6source\xdf\xff\xff\xff\xff", b"\xc1"] {
            assert_eq!(source(bytes), None, "{bytes:?}");
        }
    }
}
