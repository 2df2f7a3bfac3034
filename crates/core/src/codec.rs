//! Payloads and outputs as bytes: strict MessagePack, and JSON where people read it.
//!
//! The decoder works on borrowed bytes and builds nothing in between. Only when it fails does it look for map keys
//! that appear twice, drops all but the last of each, and tries again: duplicates are legal and rare, so that the
//! usual payload does not pay for them. A failure names the place, as in ``Expected `int`, got `str` - at `$.n` ``.
//!
//! The encoder writes structs as maps with every field, integers in their shortest form, floats as float64.

use bytes::Bytes;
use serde::{Serialize, de::DeserializeOwned};

use crate::worker_error::{Result, WorkerError};

mod decode_error;
mod decoder;
mod dedup;
mod encoder;
mod json;
mod reader;

pub use json::{encode_json, from_json, to_json};

pub(crate) use decode_error::DecodeError;
use decoder::BytesForm;
pub(crate) use reader::{Reader, Token};

/// Deepest nesting of a payload. Real payloads have a handful of levels; the bound keeps hostile ones off the
/// stack.
pub const DEPTH_MAX: usize = 128;

/// Capacity an encoding starts with, in bytes: most outputs of small functions fit, and nobody misses it otherwise.
const OUTPUT_BYTES_TYPICAL: usize = 128;

/// Decodes a payload.
///
/// # Errors
/// [`WorkerError::decode`] with the place of the first thing that is wrong.
pub fn decode<T: DeserializeOwned>(payload: &[u8]) -> Result<T> {
    decode_as(payload, BytesForm::Binary)
}

/// Decodes a payload that [`from_json`] made: bytes may be base64 text.
///
/// # Errors
/// As [`decode`].
pub fn decode_from_json<T: DeserializeOwned>(payload: &[u8]) -> Result<T> {
    decode_as(payload, BytesForm::BinaryOrBase64)
}

/// Encodes an output.
///
/// # Errors
/// When the type's own serialisation fails, or it holds what MessagePack cannot: 128-bit integers beyond 64 bits,
/// more than 2^32 - 1 elements.
pub fn encode<T: Serialize + ?Sized>(value: &T) -> Result<Bytes> {
    let mut out = Vec::with_capacity(OUTPUT_BYTES_TYPICAL);
    match encoder::encode_into(value, &mut out) {
        Ok(()) => Ok(Bytes::from(out)),
        Err(error) => Err(WorkerError::fatal("EncodeError", error.to_string())),
    }
}

fn decode_as<T: DeserializeOwned>(payload: &[u8], form: BytesForm) -> Result<T> {
    let error = match decoder::decode(payload, form) {
        Ok(value) => return Ok(value),
        Err(error) => error,
    };
    let outcome = match dedup::keep_last(payload) {
        Some(unique) => decoder::decode(&unique, form),
        None => Err(error),
    };
    outcome.map_err(|error: DecodeError| WorkerError::decode(&error.path(), error.text()))
}

#[cfg(test)]
mod tests;
