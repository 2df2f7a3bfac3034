//! What kind of content a file is, as far as whoever reads it is told. Pure.
//!
//! Kinds come from clients, and a browser that believes a page or a picture with scripts in it runs them with the rights of the
//! hub's address. So a kind is told only by an address that was signed with it, and most kinds only as something to keep.

use std::{fmt, str::FromStr};

/// Kind of content that says nothing.
pub(crate) const BYTES: &str = "application/octet-stream";

/// Longest kind in bytes: a header and an address carry it (RFC 6838 allows 127 for either half; none has that many).
const KIND_BYTES_MAX: usize = 127;

/// What the end of a name says of its content.
const ENDINGS: [(&str, &str); 13] = [
    ("gif", "image/gif"),
    ("jpeg", "image/jpeg"),
    ("jpg", "image/jpeg"),
    ("json", "application/json"),
    ("mp3", "audio/mpeg"),
    ("mp4", "video/mp4"),
    ("ogg", "audio/ogg"),
    ("png", "image/png"),
    ("txt", "text/plain"),
    ("wav", "audio/wav"),
    ("webm", "video/webm"),
    ("webp", "image/webp"),
    ("zip", "application/zip"),
];

/// Kinds in which nothing can run, besides sounds and films.
const SHOWN: [&str; 7] =
    ["application/json", "image/avif", "image/gif", "image/jpeg", "image/png", "image/webp", "text/plain"];

/// A kind of content, such as `image/png`: in lower case, without parameters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContentKind(String);

/// A text that is no kind of content.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("it is no kind of content")]
pub struct NoKind;

impl ContentKind {
    /// The kind that says nothing.
    pub(crate) fn bytes() -> Self {
        Self(BYTES.to_owned())
    }

    /// What the end of a name says.
    pub(crate) fn of_name(name: &str) -> Option<Self> {
        let (_, ending) = name.rsplit('/').next()?.rsplit_once('.')?;
        let known = ENDINGS.iter().find(|(known, _)| known.eq_ignore_ascii_case(ending));
        known.map(|(_, kind)| Self((*kind).to_owned()))
    }

    /// What is told of a file: what was said of it, else what its name says. None when neither says anything.
    pub(crate) fn told(said: &str, name: &str) -> Option<Self> {
        let said = said.parse::<Self>().ok().filter(|said| said.0 != BYTES);
        said.or_else(|| Self::of_name(name))
    }

    /// The kind.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether a browser may show it. Everything else it may only keep. Browsers take any kind that ends so for a document of XML,
    /// in which scripts may be (MIME Sniffing standard, "XML MIME type").
    pub(crate) fn is_shown(&self) -> bool {
        let is_film = self.0.starts_with("audio/") || self.0.starts_with("video/");
        (is_film && !self.0.ends_with("+xml")) || SHOWN.contains(&self.0.as_str())
    }
}

impl FromStr for ContentKind {
    type Err = NoKind;

    fn from_str(text: &str) -> Result<Self, NoKind> {
        let essence = text.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        let is_token = |half: &str| {
            let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$&-^_.+".contains(&byte);
            !half.is_empty() && half.bytes().all(is_plain)
        };
        match essence.split_once('/') {
            Some((kind, form)) if is_token(kind) && is_token(form) && essence.len() <= KIND_BYTES_MAX => {
                Ok(Self(essence))
            }
            _ => Err(NoKind),
        }
    }
}

impl fmt::Display for ContentKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests;
