//! Map keys that appear twice: the last one counts.

use std::collections::HashMap;

use super::{
    DEPTH_MAX,
    decode_error::DecodeError,
    reader::{Reader, Token},
};

/// The same payload without the pairs that a later pair of the same map overrides, or none when there are no such
/// pairs or the payload is malformed. Takes time and memory linear in its size, apart from moving what follows a
/// pair that is dropped.
pub(super) fn keep_last(payload: &[u8]) -> Option<Vec<u8>> {
    let mut copy = Copy { reader: Reader::new(payload), out: Vec::with_capacity(payload.len()), dropped: false };
    copy.value(DEPTH_MAX).ok()?;
    if !copy.dropped {
        return None;
    }
    // What follows the first value is an error, which decoding finds again.
    let rest = payload.get(copy.reader.position()..).unwrap_or_default();
    copy.out.extend_from_slice(rest);
    Some(copy.out)
}

struct Copy<'de> {
    reader: Reader<'de>,
    out: Vec<u8>,
    dropped: bool,
}

impl Copy<'_> {
    fn value(&mut self, levels_left: usize) -> Result<(), DecodeError> {
        let Some(inside) = levels_left.checked_sub(1) else {
            return Err(DecodeError::new("too deep"));
        };
        let start = self.reader.position();
        match self.reader.token()? {
            Token::Map(length) => self.map(length, inside),
            Token::Array(length) => {
                self.out.extend_from_slice(self.reader.since(start));
                (0..length).try_for_each(|_| self.value(inside))
            }
            _ => {
                self.out.extend_from_slice(self.reader.since(start));
                Ok(())
            }
        }
    }

    fn map(&mut self, length: usize, inside: usize) -> Result<(), DecodeError> {
        let header_at = self.out.len();
        self.out.extend_from_slice(&[0xdf, 0, 0, 0, 0]);
        // Where each pair begins in `out`, and the last pair of each key.
        let mut starts = Vec::new();
        let mut last = HashMap::new();
        for index in 0..length {
            starts.push(self.out.len());
            let start = self.reader.position();
            let key = match self.reader.token()? {
                Token::Str(text) => Key::Text(text),
                Token::Map(_) | Token::Array(_) => return Err(DecodeError::new("a key is a container")),
                _ => Key::Other(self.reader.since(start)),
            };
            self.out.extend_from_slice(self.reader.since(start));
            last.insert(key, index);
            self.value(inside)?;
        }
        let kept = last.len();
        if kept < length {
            self.dropped = true;
            starts.push(self.out.len());
            let mut keep = vec![false; length];
            for index in last.into_values() {
                if let Some(flag) = keep.get_mut(index) {
                    *flag = true;
                }
            }
            self.compact(&starts, &keep);
        }
        let count = u32::try_from(kept).map_err(|_| DecodeError::new("too many keys"))?;
        if let Some(header) = self.out.get_mut(header_at + 1..header_at + 5) {
            header.copy_from_slice(&count.to_be_bytes());
        }
        Ok(())
    }

    /// Closes the gaps that dropped pairs leave; everything concerned is at the end of `out`.
    fn compact(&mut self, starts: &[usize], keep: &[bool]) {
        let Some(mut end) = starts.first().copied() else { return };
        for (bounds, _) in starts.windows(2).zip(keep).filter(|(_, keep)| **keep) {
            if let [from, to] = *bounds {
                self.out.copy_within(from..to, end);
                end += to - from;
            }
        }
        self.out.truncate(end);
    }
}

/// Text is compared as text, however its length is written.
#[derive(PartialEq, Eq, Hash)]
enum Key<'de> {
    Text(&'de str),
    Other(&'de [u8]),
}
