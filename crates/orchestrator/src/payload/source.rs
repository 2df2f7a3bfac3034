//! The source of a conversion, a dataset or a training job: `payload.source.ref` (wire contract, 9.8).

use super::{ReadError, Reader, Token};

/// Longest ref that is looked at; longer ones are none that is anywhere.
const REF_BYTES_MAX: usize = 1_024;

/// What a payload names as its source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// Its ref.
    pub r#ref: String,
    /// Its provider, if the payload says one.
    pub provider: String,
}

/// The source that a payload names. `None` where there is none, where its ref is blank or longer than any, or where the payload is
/// not what it should be: its worker refuses it then.
#[must_use]
pub fn source(payload: &[u8]) -> Option<Source> {
    read(payload).ok().flatten()
}

fn read(payload: &[u8]) -> Result<Option<Source>, ReadError> {
    let mut reader = Reader::new(payload);
    let Some(fields) = find(&mut reader, &["source"])?.first().copied().flatten() else { return Ok(None) };
    let mut reader = Reader::new(fields);
    let found = find(&mut reader, &["ref", "provider"])?;
    let text = |index: usize| {
        let raw = found.get(index).copied().flatten()?;
        match Reader::new(raw).token() {
            Ok(Token::Text(text)) if text.len() <= REF_BYTES_MAX => Some(text.to_owned()),
            _ => None,
        }
    };
    let source = text(0).filter(|reference| !reference.trim().is_empty());
    Ok(source.map(|r#ref| Source { r#ref, provider: text(1).unwrap_or_default() }))
}

/// The values under these keys of the map that comes next; none of them in anything else.
fn find<'a>(reader: &mut Reader<'a>, keys: &[&str]) -> Result<Vec<Option<&'a [u8]>>, ReadError> {
    let mut found = vec![None; keys.len()];
    let Token::Map(entries) = reader.token()? else { return Ok(found) };
    for _ in 0..entries {
        let key = reader.raw()?;
        let value = reader.raw()?;
        if let Ok(Token::Text(name)) = Reader::new(key).token()
            && let Some(at) = keys.iter().position(|key| *key == name)
            && let Some(place) = found.get_mut(at)
        {
            *place = Some(value);
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn of(payload: &Value) -> Option<Source> {
        source(&rmp_serde::to_vec_named(payload).unwrap())
    }

    #[test]
    fn w9_8_a_source_is_read_where_it_stands() {
        let expected = |provider: &str| Some(Source { r#ref: "acme/base:v1".into(), provider: provider.into() });
        assert_eq!(
            of(&json!({"steps": [1, {"source": 2}], "source": {"ref": "acme/base:v1"}, "z": null})),
            expected("")
        );
        assert_eq!(
            of(&json!({"source": {"provider": "hf", "x": {"ref": "no"}, "ref": "acme/base:v1"}})),
            expected("hf")
        );
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
