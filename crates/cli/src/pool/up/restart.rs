//! When a worker that ended is started again. Pure.

use std::time::Duration;

use crate::exit::Exit;

/// Pause before the first restart.
const FIRST: Duration = Duration::from_millis(500);

/// Longest pause: a worker that cannot start costs next to nothing, one whose trouble passed is back soon.
const LONGEST: Duration = Duration::from_secs(30);

/// A worker that ran this long was healthy; its next trouble is a new one.
const HEALTHY_AFTER: Duration = Duration::from_secs(60);

/// What the end of a worker means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// Start it again after this pause.
    After(Duration),
    /// It can never start like this: what was given to it is wrong, and this is the code to end with.
    GiveUp(Exit),
}

/// Counts the troubles of one worker.
#[derive(Debug, Default)]
pub(super) struct Restarts {
    failures: u32,
}

impl Restarts {
    /// A worker ended by itself after `lived`, with this exit code (none when a signal ended it).
    pub(super) fn ended(&mut self, lived: Duration, code: Option<i32>) -> Next {
        for exit in [Exit::Usage, Exit::Model] {
            if code == Some(i32::from(exit.code())) {
                return Next::GiveUp(exit);
            }
        }
        self.failures = if lived >= HEALTHY_AFTER { 0 } else { self.failures.saturating_add(1) };
        let doubled = FIRST.saturating_mul(1 << self.failures.saturating_sub(1).min(16));
        Next::After(doubled.min(LONGEST))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_until_a_worker_was_healthy() {
        let mut restarts = Restarts::default();
        let mut pause = |lived: u64| match restarts.ended(Duration::from_secs(lived), Some(1)) {
            Next::After(pause) => pause.as_millis(),
            Next::GiveUp(exit) => panic!("{exit:?}"),
        };
        assert_eq!([pause(0), pause(1), pause(59)], [500, 1_000, 2_000]);
        assert_eq!((0..40).map(|_| pause(0)).max(), Some(30_000));
        assert_eq!([pause(60), pause(0)], [500, 500]);
    }

    #[test]
    fn what_can_never_start_is_given_up() {
        let mut restarts = Restarts::default();
        assert_eq!(restarts.ended(Duration::ZERO, Some(2)), Next::GiveUp(Exit::Usage));
        assert_eq!(restarts.ended(Duration::ZERO, Some(3)), Next::GiveUp(Exit::Model));
        assert_eq!(restarts.ended(Duration::ZERO, None), Next::After(FIRST));
        assert_eq!(restarts.ended(Duration::ZERO, Some(70)), Next::After(Duration::from_secs(1)));
    }
}
