//! What the head of an answer means: a pure function of it and of what was asked.

use crate::wanted::Size;

/// What to do with an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Its body is what comes next.
    Take,
    /// It is not what was asked for: ask for all of the file (rules 6.3 and 6.5).
    Restart,
    /// The address is not valid (any more); nothing is asked again.
    Expired,
    /// The server cannot now.
    Again,
    /// It promises another file: as bad as wrong bytes.
    Wrong,
}

/// The head of an answer.
#[derive(Clone, Copy, Debug)]
pub(super) struct Head<'a> {
    pub(super) status: u16,
    pub(super) content_range: Option<&'a str>,
    pub(super) content_length: Option<u64>,
}

impl Head<'_> {
    /// What to do when bytes from `from` on were asked for, of a file of `size`.
    pub(super) fn verdict(&self, from: u64, size: Size) -> Verdict {
        match self.status {
            200 if from > 0 => Verdict::Restart,
            200 if self.content_length.is_some_and(|length| !size.fits(length)) => Verdict::Wrong,
            200 => Verdict::Take,
            206 if from == 0 => Verdict::Again,
            206 => match self.content_range.and_then(parse_range) {
                Some((start, total)) if start == from && total.is_none_or(|total| size.fits(total)) => Verdict::Take,
                _ => Verdict::Restart,
            },
            416 if from > 0 => Verdict::Restart,
            408 | 429 => Verdict::Again,
            400..=499 => Verdict::Expired,
            _ => Verdict::Again,
        }
    }
}

/// Start and total of `bytes <start>-<end>/<total or *>`.
fn parse_range(text: &str) -> Option<(u64, Option<u64>)> {
    let (range, total) = text.trim().strip_prefix("bytes ")?.split_once('/')?;
    let (start, end) = range.trim().split_once('-')?;
    let (start, end): (u64, u64) = (start.parse().ok()?, end.parse().ok()?);
    if end < start {
        return None;
    }
    match total.trim() {
        "*" => Some((start, None)),
        total => Some((start, Some(total.parse().ok().filter(|total| *total > end)?))),
    }
}

#[cfg(test)]
mod tests;
