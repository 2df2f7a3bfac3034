//! Which requests crashed a slot before, as a pure memory. Decides whether a crash may be tried again.

use std::collections::{HashSet, VecDeque};

use gen_worker_proto::{Pair, RequestId};

/// Ids that are remembered. A request comes back within minutes, if at all; a worker that crashes more often than
/// this in that time has other troubles.
const REMEMBERED_MAX: usize = 1_024;

#[derive(Debug, Default)]
pub(super) struct Crashes {
    ids: HashSet<RequestId>,
    oldest_first: VecDeque<RequestId>,
}

impl Crashes {
    /// `pair` crashed. Whether that is not the first time: by what is remembered here, or because an attempt came
    /// before this one, perhaps on another worker.
    pub(super) fn again(&mut self, pair: &Pair) -> bool {
        if !self.ids.insert(pair.request_id.clone()) {
            return true;
        }
        self.oldest_first.push_back(pair.request_id.clone());
        if self.oldest_first.len() > REMEMBERED_MAX
            && let Some(oldest) = self.oldest_first.pop_front()
        {
            self.ids.remove(&oldest);
        }
        pair.attempt.0 > 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair(id: &str, attempt: i64) -> Pair {
        Pair::parse(id, attempt).expect("a pair")
    }

    #[test]
    fn the_first_crash_of_a_first_attempt_may_be_tried_again() {
        let mut crashes = Crashes::default();
        assert!(!crashes.again(&pair("a", 1)));
        assert!(crashes.again(&pair("a", 2)));
        assert!(!crashes.again(&pair("b", 1)), "requests are not mixed up");
        assert!(crashes.again(&pair("c", 2)), "an attempt came before it");
    }

    #[test]
    fn the_memory_is_bounded() {
        let mut crashes = Crashes::default();
        for number in 0..=REMEMBERED_MAX {
            assert!(!crashes.again(&pair(&number.to_string(), 1)));
        }
        assert_eq!((crashes.ids.len(), crashes.oldest_first.len()), (REMEMBERED_MAX, REMEMBERED_MAX));
        assert!(!crashes.again(&pair("0", 1)), "the oldest was forgotten");
        assert!(crashes.again(&pair("500", 1)));
    }
}
