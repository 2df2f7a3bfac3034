//! The fencing table of [`crate::queue`] as a function of values, shared by every implementation. No I/O.

use gen_worker_proto::Attempt;

use super::Change;
use crate::request::State;

/// What fencing needs to know of a live request.
#[derive(Clone, Copy, Debug)]
pub(super) struct Standing {
    /// Its state, never a terminal one.
    pub state: State,
    /// Its stored attempt.
    pub attempt: Attempt,
}

/// What is to be done with a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It was decided for a pair that is no longer current.
    Stale,
    /// It already holds; nothing is written.
    Holds,
    /// It is written, for the stored attempt.
    Write,
    /// It is written, for an attempt above the stored one: what is known of the attempt before is forgotten.
    Raise,
}

/// Judges `change` against what is stored.
pub(super) fn judge(stored: Standing, change: &Change) -> Verdict {
    let attempt = change.pair().attempt;
    let raises = attempt > stored.attempt;
    let current = attempt == stored.attempt;
    let dispatched = matches!(stored.state, State::Assigned | State::Running);
    match change {
        Change::Assign { .. } | Change::Requeue { .. } if raises => Verdict::Raise,
        Change::Start { .. } if current && stored.state == State::Assigned => Verdict::Write,
        Change::Start { .. } if current && stored.state == State::Running => Verdict::Holds,
        Change::Requeue { .. } if current && dispatched => Verdict::Write,
        Change::Cancel { .. } => Verdict::Write,
        Change::Finish { ending, .. } if ending.state.is_terminal() && raises => Verdict::Raise,
        Change::Finish { ending, .. } if ending.state.is_terminal() && current => Verdict::Write,
        _ => Verdict::Stale,
    }
}
