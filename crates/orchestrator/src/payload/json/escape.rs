//! JSON strings with escapes.

use super::{Problem, scan};

/// Reads the text at the front of `bytes` up to its closing quote; `plain` bytes of it are known to be ordinary.
/// Returns the unescaped text and the place of the quote, or where it went wrong. `bytes` is UTF-8.
pub(super) fn unescape(bytes: &[u8], plain: usize) -> Result<(Vec<u8>, usize), (usize, Problem)> {
    let mut out = Vec::with_capacity(plain + 32);
    out.extend_from_slice(bytes.get(..plain).unwrap_or_default());
    let mut at = plain;
    loop {
        match bytes.get(at) {
            Some(b'"') => return Ok((out, at)),
            Some(b'\\') => {
                at += one(bytes.get(at + 1..).unwrap_or_default(), &mut out).map_err(|problem| (at, problem))?
            }
            Some(_) => return Err((at, Problem::Control)),
            None => return Err((at, Problem::End)),
        }
        let rest = bytes.get(at..).unwrap_or_default();
        let plain = scan::plain_text_len(rest);
        out.extend_from_slice(rest.get(..plain).unwrap_or_default());
        at += plain;
    }
}

/// Reads one escape, `bytes` being what follows its backslash; returns its length with the backslash.
fn one(bytes: &[u8], out: &mut Vec<u8>) -> Result<usize, Problem> {
    let byte = match bytes.first() {
        Some(byte @ (b'"' | b'\\' | b'/')) => *byte,
        Some(b'b') => 0x08,
        Some(b'f') => 0x0c,
        Some(b'n') => b'\n',
        Some(b'r') => b'\r',
        Some(b't') => b'\t',
        Some(b'u') => return unicode(bytes.get(1..).unwrap_or_default(), out).map(|digits| 2 + digits),
        Some(_) => return Err(Problem::Escape),
        None => return Err(Problem::End),
    };
    out.push(byte);
    Ok(2)
}

/// Reads the digits of `\u`, of both halves when it is a surrogate; returns how many bytes they take.
fn unicode(bytes: &[u8], out: &mut Vec<u8>) -> Result<usize, Problem> {
    let unit = hex(bytes)?;
    let (code, len) = match unit {
        0xd800..=0xdbff => {
            let low = match bytes.get(4..6) {
                Some(br"\u") => hex(bytes.get(6..).unwrap_or_default())?,
                _ => return Err(Problem::Surrogate),
            };
            if !(0xdc00..=0xdfff).contains(&low) {
                return Err(Problem::Surrogate);
            }
            (0x1_0000 + ((unit - 0xd800) << 10) + (low - 0xdc00), 10)
        }
        unit => (unit, 4),
    };
    let character = char::from_u32(code).ok_or(Problem::Surrogate)?;
    out.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
    Ok(len)
}

fn hex(bytes: &[u8]) -> Result<u32, Problem> {
    let digits = bytes.first_chunk::<4>().ok_or(Problem::Escape)?;
    digits.iter().try_fold(0, |code, &byte| {
        let digit = char::from(byte).to_digit(16).ok_or(Problem::Escape)?;
        Ok(code * 16 + digit)
    })
}
