//! MessagePack as JSON: a value that serializes itself straight from the bytes.

use std::fmt::Write as _;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::{
    Serialize, Serializer,
    ser::{Error as _, SerializeMap as _, SerializeSeq as _},
};

use super::{BYTES_KEY, DEPTH_MAX, read::Reader, read::Token};

/// Extension type of timestamps.
const TIMESTAMP: i8 = -1;

/// One MessagePack value, shown as JSON by the table of [the module above](super). Serializing fails when the bytes are
/// not one MessagePack value, are nested deeper than [`DEPTH_MAX`], or hold a map key that has no text form.
///
/// Made for JSON serializers: integer, float and bool keys rely on the serializer turning them into text.
#[derive(Clone, Copy, Debug)]
pub struct AsJson<'a>(pub &'a [u8]);

impl Serialize for AsJson<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut reader = Reader::new(self.0);
        let done = Value::new(&mut reader, 0).serialize(serializer)?;
        reader.finish().map_err(S::Error::custom)?;
        Ok(done)
    }
}

/// The next value of a reader. Serde asks for `&self`, reading moves the reader on: the cell bridges the two. Each
/// value is serialized once.
struct Value<'r, 'a> {
    reader: std::cell::Cell<Option<&'r mut Reader<'a>>>,
    depth: usize,
}

impl<'r, 'a> Value<'r, 'a> {
    fn new(reader: &'r mut Reader<'a>, depth: usize) -> Self {
        Self { reader: std::cell::Cell::new(Some(reader)), depth }
    }
}

impl Serialize for Value<'_, '_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let reader = self.reader.take().ok_or_else(|| S::Error::custom("a value was serialized twice"))?;
        let start = reader.position();
        let token = reader.token().map_err(S::Error::custom)?;
        if self.depth == DEPTH_MAX && matches!(token, Token::Array(_) | Token::Map(_)) {
            return Err(S::Error::custom(super::ReadError::TooDeep(start)));
        }
        match token {
            Token::Nil => serializer.serialize_unit(),
            Token::Bool(value) => serializer.serialize_bool(value),
            Token::Unsigned(value) => serializer.serialize_u64(value),
            Token::Negative(value) => serializer.serialize_i64(value),
            Token::F32(value) => serializer.serialize_f32(value),
            Token::F64(value) => serializer.serialize_f64(value),
            Token::Text(value) => serializer.serialize_str(value),
            Token::Bin(value) => single(serializer, BYTES_KEY, &STANDARD.encode(value)),
            Token::Extension(TIMESTAMP, data) => match timestamp(data) {
                Some(text) => serializer.serialize_str(&text),
                None => single(serializer, "$ext", &Extension::new(TIMESTAMP, data)),
            },
            Token::Extension(kind, data) => single(serializer, "$ext", &Extension::new(kind, data)),
            Token::Array(items) => {
                let mut sequence = serializer.serialize_seq(Some(items))?;
                for _ in 0..items {
                    sequence.serialize_element(&Value::new(reader, self.depth + 1))?;
                }
                sequence.end()
            }
            Token::Map(entries) => {
                let mut map = serializer.serialize_map(Some(entries))?;
                for _ in 0..entries {
                    map.serialize_key(&MapKey(reader.token().map_err(S::Error::custom)?))?;
                    map.serialize_value(&Value::new(reader, self.depth + 1))?;
                }
                map.end()
            }
        }
    }
}

/// A key; JSON serializers turn the scalar ones into text.
struct MapKey<'a>(Token<'a>);

impl Serialize for MapKey<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Token::Text(value) => serializer.serialize_str(value),
            Token::Unsigned(value) => serializer.serialize_u64(value),
            Token::Negative(value) => serializer.serialize_i64(value),
            Token::Bool(value) => serializer.serialize_bool(value),
            Token::F32(value) if value.is_finite() => serializer.serialize_f32(value),
            Token::F64(value) if value.is_finite() => serializer.serialize_f64(value),
            _ => Err(S::Error::custom("map key has no text form")),
        }
    }
}

#[derive(Serialize)]
struct Extension {
    r#type: i8,
    data: String,
}

impl Extension {
    fn new(kind: i8, data: &[u8]) -> Self {
        Self { r#type: kind, data: STANDARD.encode(data) }
    }
}

fn single<S: Serializer>(serializer: S, key: &str, value: &impl Serialize) -> Result<S::Ok, S::Error> {
    let mut map = serializer.serialize_map(Some(1))?;
    map.serialize_entry(key, value)?;
    map.end()
}

/// RFC 3339 text of a timestamp in any of its three forms; `None` when it is none of them or out of range.
fn timestamp(data: &[u8]) -> Option<String> {
    let (seconds, nanos) = if let Ok(seconds) = <[u8; 4]>::try_from(data) {
        (i64::from(u32::from_be_bytes(seconds)), 0)
    } else if let Ok(both) = <[u8; 8]>::try_from(data) {
        let both = u64::from_be_bytes(both);
        (i64::try_from(both & 0x3_ffff_ffff).ok()?, u32::try_from(both >> 34).ok()?)
    } else {
        let (nanos, seconds) = data.split_first_chunk::<4>()?;
        (i64::from_be_bytes(<[u8; 8]>::try_from(seconds).ok()?), u32::from_be_bytes(*nanos))
    };
    // Nanoseconds count upwards from the second also before 1970, which only an addition of durations says.
    let instant = jiff::Timestamp::from_second(seconds)
        .ok()?
        .checked_add(jiff::SignedDuration::from_nanos(i64::from(nanos)))
        .ok()
        .filter(|_| nanos < 1_000_000_000)?;
    let mut text = String::with_capacity(32);
    write!(text, "{instant}").ok()?;
    Some(text)
}

#[cfg(test)]
mod tests;
