//! Refs of saved files. Pure, but for the count of default names.

use std::sync::atomic::{AtomicU32, Ordering};

use gen_worker_hub::RepoPath;

use crate::worker_error::{Result, WorkerError};

/// What a default name says of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Media {
    /// `image`
    Image,
    /// `audio`
    Audio,
    /// `video`
    Video,
}

/// Default names that one request has used.
#[derive(Debug, Default)]
pub(crate) struct MediaNames([AtomicU32; 3]);

/// The ref that `text` stands for (endpoint contract, E-90).
///
/// # Errors
/// No text, an address of the web, and what would leave the place of the owner.
pub(crate) fn file_ref(text: &str) -> Result<RepoPath> {
    let text = own(text)?;
    if text.is_empty() {
        return Err(WorkerError::validation("the ref of a saved file is empty"));
    }
    text.parse().map_err(|error| WorkerError::validation(format!("the ref of a saved file is none: {error}")))
}

/// `text` as it counts: without blanks around it and slashes in front.
///
/// # Errors
/// An address of the web.
pub(super) fn own(text: &str) -> Result<&str> {
    let text = text.trim();
    let scheme = |scheme: &str| text.get(..scheme.len()).is_some_and(|start| start.eq_ignore_ascii_case(scheme));
    if scheme("http://") || scheme("https://") {
        return Err(WorkerError::validation("the ref of a saved file is an address of the web"));
    }
    Ok(text.trim_start_matches('/'))
}

impl Media {
    fn stem(self) -> &'static str {
        match self {
            Self::Image => "image",
            Self::Audio => "audio",
            Self::Video => "video",
        }
    }
}

impl MediaNames {
    /// The next default ref: the first is the usual one, and no later one replaces it (Hub contract, 9.11).
    pub(crate) fn next(&self, request_id: &str, media: Media, extension: &str) -> String {
        let [image, audio, video] = &self.0;
        let count = match media {
            Media::Image => image,
            Media::Audio => audio,
            Media::Video => video,
        };
        let stem = media.stem();
        match count.fetch_add(1, Ordering::Relaxed) {
            0 => format!("outputs/{request_id}/{stem}.{extension}"),
            earlier => format!("outputs/{request_id}/{stem}-{}.{extension}", u64::from(earlier) + 1),
        }
    }
}

#[cfg(test)]
mod tests;
