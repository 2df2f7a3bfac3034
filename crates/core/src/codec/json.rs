//! JSON, where people or their programs read it: bytes are base64 text, numbers that JSON lacks are null.

use std::io;

use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::Bytes;
use serde::Serialize;
use serde_json::{Map, Value, ser::Formatter};

use super::{
    DEPTH_MAX,
    decode_error::DecodeError,
    encode,
    reader::{Reader, Token},
};
use crate::worker_error::{Result, WorkerError};

/// Elements that room is reserved for before they are read: a header may promise more than follows.
const RESERVED_MAX: usize = 1_024;

/// Encodes a value as compact JSON with all its fields.
///
/// # Errors
/// When the type's own serialisation fails, or a map has keys that are no text.
pub fn encode_json<T: Serialize + ?Sized>(value: &T) -> Result<Bytes> {
    let mut out = Vec::new();
    let mut serializer = serde_json::Serializer::with_formatter(&mut out, Compact);
    match value.serialize(&mut serializer) {
        Ok(()) => Ok(Bytes::from(out)),
        Err(error) => Err(WorkerError::fatal("EncodeError", error.to_string())),
    }
}

/// The MessagePack form of a JSON document.
#[must_use]
pub fn from_json(document: &Value) -> Bytes {
    encode(document).expect("JSON holds nothing that MessagePack lacks")
}

/// The JSON form of an encoded output.
///
/// # Errors
/// When it is no MessagePack, or a map has keys that are no text.
pub fn to_json(encoded: &[u8]) -> Result<Value> {
    let mut reader = Reader::new(encoded);
    let value = read(&mut reader, DEPTH_MAX).map_err(|error| WorkerError::decode("$", error.text()))?;
    if !reader.is_at_end() {
        return Err(WorkerError::decode("$", "MessagePack data is malformed: trailing characters"));
    }
    Ok(value)
}

fn read(reader: &mut Reader<'_>, levels_left: usize) -> Result<Value, DecodeError> {
    let Some(inside) = levels_left.checked_sub(1) else {
        return Err(DecodeError::new(format!("Nesting is deeper than {DEPTH_MAX} levels")));
    };
    Ok(match reader.token()? {
        Token::Nil => Value::Null,
        Token::Bool(value) => value.into(),
        Token::Uint(value) => value.into(),
        Token::Int(value) => value.into(),
        // Not finite becomes null.
        Token::Float(value) => value.into(),
        Token::Str(text) => text.into(),
        Token::Bin(bytes) => STANDARD.encode(bytes).into(),
        Token::Array(length) => {
            let mut items = Vec::with_capacity(length.min(RESERVED_MAX));
            for _ in 0..length {
                items.push(read(reader, inside)?);
            }
            Value::Array(items)
        }
        Token::Map(length) => {
            let mut entries = Map::new();
            for _ in 0..length {
                let key = match reader.token()? {
                    Token::Str(key) => key.to_owned(),
                    Token::Uint(key) => key.to_string(),
                    Token::Int(key) => key.to_string(),
                    other => return Err(DecodeError::mismatch("str", other.type_name())),
                };
                entries.insert(key, read(reader, inside)?);
            }
            Value::Object(entries)
        }
        Token::Ext => return Err(DecodeError::new("Extension types are not supported")),
    })
}

/// As serde_json's compact form, but with bytes as base64 text.
struct Compact;

impl Formatter for Compact {
    fn write_byte_array<W: ?Sized + io::Write>(&mut self, writer: &mut W, bytes: &[u8]) -> io::Result<()> {
        write!(writer, "\"{}\"", STANDARD.encode(bytes))
    }
}
