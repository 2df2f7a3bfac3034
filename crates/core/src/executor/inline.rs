//! Whether a handler may be polled on the event loop, as a pure policy. Owns the history of one function.
//!
//! Polling there saves a task and a switch for handlers that are done at once, which is most of the cost of a small
//! job. But while it lasts no message is read, and nothing runs in parallel. So a function earns it with quick runs
//! as a task, and loses it with one run that is slow or does not finish at its first poll.

use std::time::Duration;

use super::FirstPoll;

/// A first poll within this is quick: about what a task and its wake-ups would cost.
const QUICK: Duration = Duration::from_micros(50);

/// A first poll beyond this held up the event loop noticeably.
const SLOW: Duration = Duration::from_micros(500);

/// Quick runs in a row that a new function needs.
const PROBATION: u32 = 2;

/// Quick runs in a row after a run that was neither quick nor slow.
const PROBATION_AFTER_MISS: u32 = 16;

/// Quick runs in a row after a slow run: at most one in so many can hold up the loop.
const PROBATION_AFTER_SLOW: u32 = 256;

/// History of one function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct InlinePolicy {
    missing: u32,
}

impl Default for InlinePolicy {
    fn default() -> Self {
        Self { missing: PROBATION }
    }
}

impl InlinePolicy {
    /// Whether the next run may be polled on the event loop.
    pub(crate) fn allows(self) -> bool {
        self.missing == 0
    }

    /// Learns from a run, wherever it was polled.
    pub(crate) fn observe(&mut self, poll: FirstPoll) {
        self.missing = if poll.took > SLOW {
            PROBATION_AFTER_SLOW
        } else if poll.finished && poll.took <= QUICK {
            self.missing.saturating_sub(1)
        } else {
            self.missing.max(PROBATION_AFTER_MISS)
        };
    }
}

#[cfg(test)]
mod tests {
    //! A function earns and loses its place on the event loop.
    use super::*;

    fn poll(micros: u64, finished: bool) -> FirstPoll {
        FirstPoll { took: Duration::from_micros(micros), finished }
    }

    #[test]
    fn quick_runs_earn_it_and_one_slow_run_loses_it() {
        let mut policy = InlinePolicy::default();
        assert!(!policy.allows(), "nothing is known yet");
        (0..PROBATION).for_each(|_| policy.observe(poll(3, true)));
        assert!(policy.allows());
        policy.observe(poll(2_000, true));
        (1..PROBATION_AFTER_SLOW).for_each(|_| policy.observe(poll(3, true)));
        assert!(!policy.allows());
        policy.observe(poll(3, true));
        assert!(policy.allows());
    }

    #[test]
    fn a_handler_that_waits_is_a_task() {
        let mut policy = InlinePolicy::default();
        (0..100).for_each(|_| policy.observe(poll(3, false)));
        assert!(!policy.allows());
    }
}
