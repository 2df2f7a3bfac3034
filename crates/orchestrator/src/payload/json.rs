//! JSON text to MessagePack in one pass, without a tree and without recursion.
//!
//! The open containers are frames of a bounded stack. The keys of open objects are remembered by their place in
//! the output, which serves the search for duplicates and, when something is wrong, the `$` path.

use base64::{
    Engine as _,
    alphabet::STANDARD,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};

use super::{
    BYTES_KEY, DEPTH_MAX,
    keys::{Key, repeated},
    number::{self, NumberError},
    scan,
    write::{self, Container},
};

mod error;
mod escape;

pub use error::{JsonError, Problem};

/// Standard alphabet; padding may be left out, as many clients do.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Turns a JSON object into a MessagePack map; the table in [the module above](super) says how.
///
/// # Errors
/// [`JsonError`] with path and position for everything that is refused.
pub fn from_json(input: &[u8]) -> Result<Vec<u8>, JsonError> {
    let mut parser = Parser {
        input,
        at: 0,
        out: Vec::with_capacity(input.len()),
        frames: Vec::with_capacity(8),
        keys: Vec::with_capacity(16),
    };
    match parser.document() {
        Ok(()) => Ok(parser.out),
        Err(problem) => Err(parser.error(problem)),
    }
}

/// An open container.
struct Frame {
    container: Container,
    /// Where its marker is in the output.
    marker: usize,
    /// Items that are complete.
    count: usize,
    /// Where its keys begin in [`Parser::keys`].
    keys_from: usize,
}

struct Parser<'a> {
    input: &'a [u8],
    at: usize,
    out: Vec<u8>,
    frames: Vec<Frame>,
    keys: Vec<Key>,
}

impl Parser<'_> {
    fn document(&mut self) -> Result<(), Problem> {
        if u32::try_from(self.input.len()).is_err() {
            return Err(Problem::TooLarge);
        }
        if let Err(error) = std::str::from_utf8(self.input) {
            self.at = error.valid_up_to();
            return Err(Problem::Utf8);
        }
        match self.next_token() {
            Some(b'{') => {}
            Some(_) => return Err(Problem::NotAnObject),
            None => return Err(Problem::Empty),
        }
        loop {
            // A value that opened a container is not complete: its first item comes next.
            if self.value()? && self.after_value()? {
                break;
            }
        }
        match self.next_token() {
            None => Ok(()),
            Some(_) => Err(Problem::Trailing),
        }
    }

    /// Reads one value; `false` when it opened a container that has items.
    fn value(&mut self) -> Result<bool, Problem> {
        match self.next_token() {
            Some(b'"') => drop(self.string()?),
            Some(b'{') => return self.open(Container::Map),
            Some(b'[') => return self.open(Container::Array),
            Some(b'-' | b'0'..=b'9') => self.number()?,
            Some(b't') => self.literal(b"true", 0xc3)?,
            Some(b'f') => self.literal(b"false", 0xc2)?,
            Some(b'n') => self.literal(b"null", 0xc0)?,
            Some(_) => return Err(Problem::Expected("a value")),
            None => return Err(Problem::End),
        }
        Ok(true)
    }

    /// Goes on behind a complete value, through all containers that it completes; `true` when the top is complete.
    fn after_value(&mut self) -> Result<bool, Problem> {
        loop {
            let token = if self.frames.is_empty() { return Ok(true) } else { self.next_token() };
            let Some(frame) = self.frames.last_mut() else { return Ok(true) };
            frame.count += 1;
            let container = frame.container;
            match (token, container) {
                (Some(b','), Container::Array) => {
                    self.at += 1;
                    return Ok(false);
                }
                (Some(b','), Container::Map) => {
                    self.at += 1;
                    if !self.key()? {
                        return Ok(false);
                    }
                }
                (Some(b']'), Container::Array) | (Some(b'}'), Container::Map) => self.close()?,
                (None, _) => return Err(self.undo_count(Problem::End)),
                (Some(_), Container::Array) => return Err(self.undo_count(Problem::Expected("`,` or `]`"))),
                (Some(_), Container::Map) => return Err(self.undo_count(Problem::Expected("`,` or `}`"))),
            }
        }
    }

    /// The item is blamed, not the one after it.
    fn undo_count(&mut self, problem: Problem) -> Problem {
        if let Some(frame) = self.frames.last_mut() {
            frame.count -= 1;
        }
        problem
    }

    fn open(&mut self, container: Container) -> Result<bool, Problem> {
        if self.frames.len() == DEPTH_MAX {
            return Err(Problem::TooDeep);
        }
        self.at += 1;
        let marker = write::open(&mut self.out);
        self.frames.push(Frame { container, marker, count: 0, keys_from: self.keys.len() });
        match (self.next_token(), container) {
            (Some(b'}'), Container::Map) | (Some(b']'), Container::Array) => {
                self.close()?;
                Ok(true)
            }
            (_, Container::Map) => self.key(),
            (_, Container::Array) => Ok(false),
        }
    }

    /// Ends the innermost container at its closing bracket.
    fn close(&mut self) -> Result<(), Problem> {
        let Some(frame) = self.frames.last() else { return Ok(()) };
        let keys = self.keys.get(frame.keys_from..).unwrap_or_default();
        if let Some(key) = repeated(&self.out, keys) {
            let name = error::key_text(key.text(&self.out));
            self.at = key.input as usize;
            self.keys.truncate(frame.keys_from);
            return Err(Problem::DuplicateKey(name));
        }
        self.at += 1;
        self.keys.truncate(frame.keys_from);
        write::close(&mut self.out, frame.marker, frame.count, frame.container);
        self.frames.pop();
        Ok(())
    }

    /// Reads a key and its colon; `true` when it was that of a bytes object, which is then complete.
    fn key(&mut self) -> Result<bool, Problem> {
        match self.next_token() {
            Some(b'"') => {}
            Some(_) => return Err(Problem::Expected("a key in double quotes")),
            None => return Err(Problem::End),
        }
        let input = self.at as u32;
        let len = self.string()?;
        let start = self.out.len() - len;
        self.keys.push(Key { start: start as u32, len: len as u32, input });
        match self.next_token() {
            Some(b':') => self.at += 1,
            Some(_) => return Err(Problem::Expected("`:`")),
            None => return Err(Problem::End),
        }
        if self.out.get(start..) == Some(BYTES_KEY.as_bytes()) {
            self.bytes_object()?;
            return Ok(true);
        }
        Ok(false)
    }

    /// Reads the rest of `{"$bytes": "<base64>"}` and puts bytes in the place of the map.
    fn bytes_object(&mut self) -> Result<(), Problem> {
        match self.next_token() {
            Some(b'"') => {}
            Some(_) => return Err(Problem::BytesText),
            None => return Err(Problem::End),
        }
        let text = self.at;
        let len = self.string()?;
        match (self.next_token(), self.frames.last()) {
            (Some(b'}'), Some(frame)) if frame.count == 0 => {}
            (None, _) => return Err(Problem::End),
            _ => return Err(Problem::BytesAlone),
        }
        let decoded = BASE64.decode(self.out.get(self.out.len() - len..).unwrap_or_default());
        let Ok(decoded) = decoded else {
            self.at = text;
            return Err(Problem::Base64);
        };
        if self.frames.len() == 1 {
            return Err(Problem::NotAnObject);
        }
        self.at += 1;
        if let Some(frame) = self.frames.pop() {
            self.keys.truncate(frame.keys_from);
            self.out.truncate(frame.marker);
        }
        write::bin(&mut self.out, &decoded);
        Ok(())
    }

    /// Reads a string that is known to start here; returns the length of its text, which ends the output.
    fn string(&mut self) -> Result<usize, Problem> {
        let opened = self.at;
        let text = self.input.get(opened + 1..).unwrap_or_default();
        let plain = scan::plain_text_len(text);
        if text.get(plain) == Some(&b'"') {
            write::text(&mut self.out, text.get(..plain).unwrap_or_default());
            self.at = opened + plain + 2;
            return Ok(plain);
        }
        match escape::unescape(text, plain) {
            Ok((unescaped, len)) => {
                write::text(&mut self.out, &unescaped);
                self.at = opened + 1 + len + 1;
                Ok(unescaped.len())
            }
            Err((at, problem)) => {
                self.at = opened + 1 + at;
                Err(problem)
            }
        }
    }

    fn number(&mut self) -> Result<(), Problem> {
        let text = self.input.get(self.at..).unwrap_or_default();
        let (value, len) = number::parse(text).map_err(|error| match error {
            NumberError::Syntax => Problem::Expected("a number"),
            NumberError::Range => Problem::NumberRange,
        })?;
        // What may follow a number is a bracket, a comma or space; a digit or letter means that it is none.
        if text.get(len).is_some_and(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'+' | b'-' | b'_')) {
            return Err(Problem::Expected("a number"));
        }
        write::number(&mut self.out, value);
        self.at += len;
        Ok(())
    }

    fn literal(&mut self, word: &[u8], marker: u8) -> Result<(), Problem> {
        if self.input.get(self.at..self.at + word.len()) != Some(word) {
            return Err(Problem::Expected("a value"));
        }
        self.out.push(marker);
        self.at += word.len();
        Ok(())
    }

    /// Skips white space; the byte that stands there, which stays.
    fn next_token(&mut self) -> Option<u8> {
        let byte = *self.input.get(self.at)?;
        if byte > b' ' {
            return Some(byte);
        }
        self.at += scan::space_len(self.input.get(self.at..).unwrap_or_default());
        self.input.get(self.at).copied()
    }

    fn error(&self, problem: Problem) -> JsonError {
        let mut path = error::Path::new();
        let ends = self.frames.iter().skip(1).map(|frame| frame.keys_from).chain([self.keys.len()]);
        for (frame, keys_to) in self.frames.iter().zip(ends) {
            match (frame.container, self.keys.get(frame.keys_from..keys_to)) {
                (Container::Array, _) => path.index(frame.count),
                // With as many keys as complete values the next key is awaited: the object itself is the place.
                (Container::Map, Some([.., key])) if keys_to - frame.keys_from > frame.count => {
                    path.key(key.text(&self.out));
                }
                (Container::Map, _) => {}
            }
        }
        JsonError::new(problem, path, self.input, self.at)
    }
}

#[cfg(test)]
mod tests;
