//! The canonical form of MessagePack: keys sorted, everything in its shortest encoding. Equal payloads have equal
//! canonical bytes, whatever order a client wrote its keys in.

use std::ops::Range;

use super::{DEPTH_MAX, read::ReadError, read::Reader, read::Token, write};

/// Checks that `bytes` are one MessagePack map with text keys on top, no deeper than [`DEPTH_MAX`], and nothing after
/// it. What the JSON side guarantees by construction, for bodies that come as MessagePack.
///
/// # Errors
/// [`ReadError`] with the byte where it is not so.
pub fn check_map(bytes: &[u8]) -> Result<(), ReadError> {
    let mut reader = Reader::new(bytes);
    if !matches!(reader.token()?, Token::Map(_)) {
        return Err(ReadError::NotAMap);
    }
    let mut canonical = Canonical::default();
    canonical.document(bytes)
}

/// Digest (BLAKE3) of the canonical form of `value` under `context`, which separates what is not part of it.
///
/// # Errors
/// [`ReadError`] when `value` is not one MessagePack value, or is nested too deep.
pub fn digest(value: &[u8], context: &[&[u8]]) -> Result<[u8; 32], ReadError> {
    let context_len: usize = context.iter().map(|part| 8 + part.len()).sum();
    let mut canonical = Canonical { out: Vec::with_capacity(context_len + value.len()), ..Canonical::default() };
    for part in context {
        // Lengths keep ("ab", "c") and ("a", "bc") apart.
        canonical.out.extend_from_slice(&(part.len() as u64).to_le_bytes());
        canonical.out.extend_from_slice(part);
    }
    canonical.document(value)?;
    Ok(*blake3::hash(&canonical.out).as_bytes())
}

#[derive(Default)]
struct Canonical {
    out: Vec<u8>,
    /// Where the copies of reordered maps are put together.
    scratch: Vec<u8>,
    /// Entries of the open maps: key with value, and the length of the key.
    entries: Vec<(Range<usize>, usize)>,
}

impl Canonical {
    fn document(&mut self, bytes: &[u8]) -> Result<(), ReadError> {
        let mut reader = Reader::new(bytes);
        self.value(&mut reader, 0)?;
        reader.finish()
    }

    /// Recursion is bounded by [`DEPTH_MAX`].
    fn value(&mut self, reader: &mut Reader<'_>, depth: usize) -> Result<(), ReadError> {
        let start = reader.position();
        let token = reader.token()?;
        if depth == DEPTH_MAX && matches!(token, Token::Array(_) | Token::Map(_)) {
            return Err(ReadError::TooDeep(start));
        }
        match token {
            Token::Nil => self.out.push(0xc0),
            Token::Bool(value) => self.out.push(0xc2 + u8::from(value)),
            Token::Unsigned(value) => write::unsigned(&mut self.out, value),
            Token::Negative(value) => write::negative(&mut self.out, value),
            Token::F32(value) => write::float(&mut self.out, f64::from(value)),
            Token::F64(value) => write::float(&mut self.out, value),
            Token::Text(value) => write::text(&mut self.out, value.as_bytes()),
            Token::Bin(value) => write::bin(&mut self.out, value),
            Token::Extension(kind, data) => write::extension(&mut self.out, kind, data),
            Token::Array(items) => {
                let marker = write::open(&mut self.out);
                for _ in 0..items {
                    self.value(reader, depth + 1)?;
                }
                write::close(&mut self.out, marker, items, write::Container::Array);
            }
            Token::Map(entries) => self.map(reader, depth, entries)?,
        }
        Ok(())
    }

    fn map(&mut self, reader: &mut Reader<'_>, depth: usize, count: usize) -> Result<(), ReadError> {
        let marker = write::open(&mut self.out);
        let first = self.entries.len();
        for _ in 0..count {
            let start = self.out.len();
            let key_at = reader.position();
            // Struct fields and JSON keys are text; other keys are data of an inner map and stay legal below the top.
            if depth == 0 && !matches!(Reader::token(&mut reader.clone())?, Token::Text(_)) {
                return Err(ReadError::Key(key_at));
            }
            self.value(reader, depth + 1)?;
            let key_len = self.out.len() - start;
            self.value(reader, depth + 1)?;
            self.entries.push((start..self.out.len(), key_len));
        }
        self.sort(first);
        self.entries.truncate(first);
        write::close(&mut self.out, marker, count, write::Container::Map);
        Ok(())
    }

    /// Puts the entries from `first` on, which end the output, into the order of their keys.
    fn sort(&mut self, first: usize) {
        let Self { out, scratch, entries } = self;
        let Some(entries) = entries.get_mut(first..) else { return };
        let key = |(range, len): &(Range<usize>, usize)| out.get(range.start..range.start + len).unwrap_or_default();
        if entries.is_sorted_by(|a, b| key(a) <= key(b)) {
            return;
        }
        let Some(start) = entries.first().map(|(range, _)| range.start) else { return };
        entries.sort_by(|a, b| key(a).cmp(key(b)));
        scratch.clear();
        for (range, _) in entries {
            scratch.extend_from_slice(out.get(range.clone()).unwrap_or_default());
        }
        out.truncate(start);
        out.extend_from_slice(scratch);
    }
}

#[cfg(test)]
mod tests;
