//! The `Prefer` header (RFC 7240). Preferences that we do not know are ignored, as that standard wants.

use axum::http::HeaderMap;

/// What a caller prefers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Prefer {
    /// `wait=<seconds>`.
    pub(super) wait_seconds: Option<u64>,
    /// `bytes=inline`: larger outputs inside the object.
    pub(super) bytes_inline: bool,
    /// `return=minimal`: the output alone instead of the object.
    pub(super) minimal: bool,
}

impl Prefer {
    /// Reads all `Prefer` headers.
    pub(super) fn read(headers: &HeaderMap) -> Self {
        let mut prefer = Self::default();
        let values = headers.get_all("prefer").iter().filter_map(|value| value.to_str().ok());
        for preference in values.flat_map(|value| value.split([',', ';'])) {
            let (name, value) = preference.split_once('=').unwrap_or((preference, ""));
            let value = value.trim().trim_matches('"');
            match name.trim().to_ascii_lowercase().as_str() {
                "wait" => prefer.wait_seconds = value.parse().ok().or(prefer.wait_seconds),
                "bytes" => prefer.bytes_inline |= value.eq_ignore_ascii_case("inline"),
                "return" => prefer.minimal |= value.eq_ignore_ascii_case("minimal"),
                _ => {}
            }
        }
        prefer
    }
}
