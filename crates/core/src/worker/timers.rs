//! Deadlines of jobs, and the watch over threads that are past theirs. Owns both lists; the event loop asks for the
//! earliest and sleeps.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use gen_worker_proto::Pair;
use tokio::time::Instant;

use crate::{executor::JobCell, hash::FastMap};

/// How long a blocking handler may ignore its deadline before the process ends (wire contract, section 3).
pub(super) const STUCK_AFTER: Duration = Duration::from_secs(30);

#[derive(Default)]
pub(super) struct Timers {
    /// Numbered, since two jobs may share a moment.
    deadlines: BTreeMap<(Instant, u64), Pair>,
    /// Where a pair stands in `deadlines`, so that a job that ended leaves nothing behind.
    places: FastMap<Pair, (Instant, u64)>,
    overdue: BTreeMap<(Instant, u64), Arc<JobCell>>,
    numbers: u64,
}

impl Timers {
    pub(super) fn deadline(&mut self, at: Instant, pair: Pair) {
        self.numbers += 1;
        let place = (at, self.numbers);
        if let Some(earlier) = self.places.insert(pair.clone(), place) {
            self.deadlines.remove(&earlier);
        }
        self.deadlines.insert(place, pair);
    }

    /// The job left the table: its deadline means nothing any more.
    pub(super) fn forget(&mut self, pair: &Pair) {
        // Most workers never see a deadline: then nothing is hashed for the jobs that end.
        if !self.places.is_empty()
            && let Some(place) = self.places.remove(pair)
        {
            self.deadlines.remove(&place);
        }
    }

    pub(super) fn watch(&mut self, job: Arc<JobCell>, now: Instant) {
        self.numbers += 1;
        self.overdue.insert((now + STUCK_AFTER, self.numbers), job);
    }

    pub(super) fn earliest(&self) -> Option<Instant> {
        let deadline = self.deadlines.first_key_value().map(|((at, _), _)| *at);
        let overdue = self.overdue.first_key_value().map(|((at, _), _)| *at);
        deadline.into_iter().chain(overdue).min()
    }

    /// The next pair whose time is up.
    pub(super) fn expired(&mut self, now: Instant) -> Option<Pair> {
        let entry = self.deadlines.first_entry()?;
        if entry.key().0 > now {
            return None;
        }
        let pair = entry.remove();
        self.places.remove(&pair);
        Some(pair)
    }

    /// A job whose thread is still busy too long after its deadline.
    pub(super) fn stuck(&mut self, now: Instant) -> Option<Arc<JobCell>> {
        while let Some(entry) = self.overdue.first_entry() {
            if entry.key().0 > now {
                return None;
            }
            let job = entry.remove();
            if job.occupies_thread() {
                return Some(job);
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    //! Order, expiry, and threads that never come back.
    use gen_worker_proto::pb;

    use super::*;
    use crate::outbox::SharedOutbox;

    fn pair(id: &str) -> Pair {
        Pair::parse(id, 1).expect("a pair")
    }

    #[test]
    fn deadlines_expire_in_order() {
        let (mut timers, now) = (Timers::default(), Instant::now());
        timers.deadline(now + Duration::from_secs(2), pair("b"));
        timers.deadline(now + Duration::from_secs(1), pair("a"));
        timers.deadline(now + Duration::from_secs(2), pair("c"));
        assert_eq!(timers.earliest(), Some(now + Duration::from_secs(1)));
        assert_eq!(timers.expired(now), None);
        let later = now + Duration::from_secs(2);
        assert_eq!(timers.expired(later), Some(pair("a")));
        assert_eq!(timers.expired(later), Some(pair("b")));
        assert_eq!(timers.expired(later), Some(pair("c")));
        assert_eq!(timers.earliest(), None);
    }

    #[test]
    fn a_job_that_ended_leaves_no_deadline_behind() {
        let (mut timers, now) = (Timers::default(), Instant::now());
        timers.deadline(now + Duration::from_secs(7_200), pair("a"));
        timers.deadline(now + Duration::from_secs(3_600), pair("a"));
        timers.deadline(now + Duration::from_secs(1), pair("b"));
        timers.forget(&pair("b"));
        timers.forget(&pair("unknown"));
        assert_eq!(timers.earliest(), Some(now + Duration::from_secs(3_600)), "the later word holds, once");
        timers.forget(&pair("a"));
        assert_eq!(timers.earliest(), None);
    }

    #[test]
    fn only_a_thread_that_is_still_busy_is_stuck() {
        let (mut timers, now) = (Timers::default(), Instant::now());
        let job = || {
            let (run, outbox) = (pb::RunJob::default(), SharedOutbox::new(1, None));
            Arc::new(JobCell::new(pair("a"), 0, run, None, None, outbox, now))
        };
        let (done, busy) = (job(), job());
        busy.thread_started();
        timers.watch(done, now);
        timers.watch(busy.clone(), now);
        assert!(timers.stuck(now).is_none());
        assert_eq!(timers.stuck(now + STUCK_AFTER), Some(busy));
        assert!(timers.stuck(now + STUCK_AFTER).is_none());
    }
}
