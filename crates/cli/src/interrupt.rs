//! Ctrl-C while a request runs: what one press means, as a plain function of when it came.

use std::time::{Duration, Instant};

/// A second press within this time ends the process at once.
const SECOND_PRESS_WITHIN: Duration = Duration::from_secs(2);

/// What a press asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Press {
    /// Cancel cooperatively and go on waiting.
    Cancel,
    /// Exit now.
    Exit,
}

/// Remembers the last press.
#[derive(Debug, Default)]
pub(crate) struct Presses {
    last: Option<Instant>,
}

impl Presses {
    /// Counts a press at `now`. One that comes later than the limit counts as the first again.
    pub(crate) fn press(&mut self, now: Instant) -> Press {
        let again = self.last.replace(now).is_some_and(|last| now.duration_since(last) <= SECOND_PRESS_WITHIN);
        if again { Press::Exit } else { Press::Cancel }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn c90_second_press_within_two_seconds_exits() {
        let start = Instant::now();
        let at = |ms: u64| start + Duration::from_millis(ms);
        let mut presses = Presses::default();
        assert_eq!(presses.press(at(0)), Press::Cancel);
        assert_eq!(presses.press(at(2_001)), Press::Cancel);
        assert_eq!(presses.press(at(4_001)), Press::Exit);
    }
}
