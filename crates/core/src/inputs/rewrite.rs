//! Payloads with other words in some of their files. Pure.

use std::ops::Range;

use bytes::Bytes;
use serde::Serialize;

use crate::{
    codec::{DecodeError, Reader, Token, encode},
    worker_error::{Result, WorkerError},
};

/// New words for the file in these bytes of a payload.
pub(super) struct Edit {
    pub(super) bytes: Range<usize>,
    pub(super) words: NewWords,
}

/// What a file says from now on, instead of what it said of these.
#[derive(Debug, Default, PartialEq, Eq, Serialize)]
pub(super) struct NewWords {
    pub(super) local_path: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) size_bytes: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) mime_type: Option<String>,
}

impl NewWords {
    fn replaces(&self, key: &str) -> bool {
        match key {
            "local_path" => true,
            "size_bytes" => self.size_bytes.is_some(),
            "mime_type" => self.mime_type.is_some(),
            _ => false,
        }
    }
}

/// `payload` with `edits`, which stand in its order and do not overlap.
///
/// # Errors
/// When the places are not those of maps: they are not of this payload.
pub(super) fn rewritten(payload: &[u8], edits: &[Edit]) -> Result<Bytes> {
    let foreign = |error: DecodeError| WorkerError::fatal("PayloadError", error.text());
    let mut out = Vec::with_capacity(payload.len() + edits.len() * 256);
    let mut at = 0;
    for Edit { bytes, words } in edits {
        out.extend_from_slice(payload.get(at..bytes.start).unwrap_or_default());
        map(payload.get(bytes.clone()).unwrap_or_default(), words, &mut out).map_err(foreign)?;
        at = bytes.end;
    }
    out.extend_from_slice(payload.get(at..).unwrap_or_default());
    Ok(out.into())
}

/// Appends the map `file` with the new words in place of the old ones.
fn map(file: &[u8], words: &NewWords, out: &mut Vec<u8>) -> std::result::Result<(), DecodeError> {
    let mut reader = Reader::new(file);
    let Token::Map(length) = reader.token()? else { return Err(DecodeError::new("a file is no map")) };
    let header_at = out.len();
    out.extend_from_slice(&[0xdf, 0, 0, 0, 0]);
    let mut count = 0_u32;
    for _ in 0..length {
        let start = reader.position();
        let replaced = matches!(reader.token()?, Token::Str(key) if words.replaces(key));
        if !replaced {
            reader = reader.back_at(start);
            reader.skip()?;
        }
        reader.skip()?;
        if !replaced {
            out.extend_from_slice(reader.since(start));
            count += 1;
        }
    }
    let own = encode(words).map_err(|error| DecodeError::new(error.to_string()))?;
    // A small map: one byte of header, which counts its pairs.
    let (header, pairs) = own.split_first().ok_or_else(DecodeError::truncated)?;
    count += u32::from(header & 0x0f);
    out.extend_from_slice(pairs);
    if let Some(header) = out.get_mut(header_at + 1..header_at + 5) {
        header.copy_from_slice(&count.to_be_bytes());
    }
    Ok(())
}
