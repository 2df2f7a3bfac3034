//! The files of one payload: where their bytes are in it, and what they say. Pure.

use std::{fmt::Write as _, ops::Range};

use serde::Deserialize;

use super::shapes::{FileShapes, Views};
use crate::codec::{DecodeError, Reader, Token, decode};

/// Deepest place of a file (Hub contract, 14.1).
const DEPTH_MAX: usize = 8;

/// Longest key shown in a place, in characters: keys come from outside.
const KEY_CHARS_MAX: usize = 64;

/// A file of a payload.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Found {
    /// Where it is, for people: `$.images[2]`.
    pub(super) place: String,
    /// Where it is in the payload.
    pub(super) bytes: Range<usize>,
    /// What it says.
    pub(super) says: FileWords,
}

/// What a file in a payload says of itself, as far as it matters before the handler.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub(super) struct FileWords {
    #[serde(rename = "ref", default)]
    pub(super) reference: Option<String>,
    #[serde(default)]
    pub(super) local_path: Option<String>,
    #[serde(default)]
    pub(super) mime_type: Option<String>,
    #[serde(default)]
    pub(super) sha256: Option<String>,
    #[serde(default)]
    pub(super) blake3: Option<String>,
    #[serde(default)]
    pub(super) url_max_bytes: Option<u64>,
    #[serde(default)]
    pub(super) url_allowed_mime_types: Option<Vec<String>>,
    #[serde(default)]
    pub(super) url_max_width: Option<u64>,
    #[serde(default)]
    pub(super) url_max_height: Option<u64>,
    #[serde(default)]
    pub(super) url_max_pixels: Option<u64>,
}

impl FileWords {
    /// Its address on the web, if its ref is one.
    pub(super) fn url(&self) -> Option<&str> {
        let text = self.reference.as_deref()?.trim();
        let is = |scheme: &str| text.get(..scheme.len()).is_some_and(|start| start.eq_ignore_ascii_case(scheme));
        (is("http://") || is("https://")).then_some(text)
    }
}

/// The files of `payload` that have an address or claim to be here already, in the order in which they stand, at most
/// `count_max` and one more. What does not decode is left to whoever decodes the whole.
pub(super) fn find(shapes: &FileShapes, payload: &[u8], count_max: usize) -> Vec<Found> {
    let mut search =
        Search { shapes, payload, reader: Reader::new(payload), path: Vec::new(), found: Vec::new(), count_max };
    match search.value(&shapes.root(), 0) {
        Ok(()) => search.found,
        Err(_) => Vec::new(),
    }
}

struct Search<'a> {
    shapes: &'a FileShapes,
    payload: &'a [u8],
    reader: Reader<'a>,
    path: Vec<Step<'a>>,
    found: Vec<Found>,
    count_max: usize,
}

enum Step<'a> {
    Key(&'a str),
    Index(usize),
}

impl<'a> Search<'a> {
    fn value(&mut self, views: &Views, depth: usize) -> Result<(), DecodeError> {
        if views.is_empty() || depth > DEPTH_MAX || self.found.len() > self.count_max {
            return self.reader.skip();
        }
        let start = self.reader.position();
        match self.reader.token()? {
            Token::Map(_) if self.shapes.is_file(views) => self.file(start),
            Token::Map(length) => self.map(length, views, depth),
            Token::Array(length) => self.array(length, views, depth),
            _ => Ok(()),
        }
    }

    fn map(&mut self, length: usize, views: &Views, depth: usize) -> Result<(), DecodeError> {
        for _ in 0..length {
            let start = self.reader.position();
            let Token::Str(key) = self.reader.token()? else {
                self.reader = self.reader.back_at(start);
                self.reader.skip()?;
                self.reader.skip()?;
                continue;
            };
            self.path.push(Step::Key(key));
            self.value(&self.shapes.field(views, key), depth + 1)?;
            self.path.pop();
        }
        Ok(())
    }

    fn array(&mut self, length: usize, views: &Views, depth: usize) -> Result<(), DecodeError> {
        let inside = self.shapes.item(views);
        for index in 0..length {
            self.path.push(Step::Index(index));
            self.value(&inside, depth + 1)?;
            self.path.pop();
        }
        Ok(())
    }

    fn file(&mut self, start: usize) -> Result<(), DecodeError> {
        self.reader = self.reader.back_at(start);
        self.reader.skip()?;
        let bytes = start..self.reader.position();
        let says = decode::<FileWords>(self.payload.get(bytes.clone()).unwrap_or_default());
        // What an author's own type says otherwise may still name a place on this machine.
        let says = says.unwrap_or_else(|_| FileWords { local_path: Some(String::new()), ..FileWords::default() });
        if says.url().is_some() || says.local_path.is_some() {
            self.found.push(Found { place: self.place(), bytes, says });
        }
        Ok(())
    }

    fn place(&self) -> String {
        let mut place = String::from("$");
        for step in &self.path {
            match step {
                Step::Key(key) => {
                    place.push('.');
                    place.extend(key.chars().take(KEY_CHARS_MAX));
                }
                // Writing to a string cannot fail.
                Step::Index(index) => drop(write!(place, "[{index}]")),
            }
        }
        place
    }
}
