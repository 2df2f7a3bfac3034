//! The end of a worker's life as a pure machine (W19): finish jobs, flush results, half-close, wait for the
//! orchestrator, leave. Owns the stage and its limit; has no clock and no I/O.
//!
//! ```text
//!   Finishing ── no job left, or deadline ──> Flushing ── all handed over ──> Closing ── call ended ──> done
//!                                                │ 30 s                          │ 5 s
//!                                                └───────────────────────────────┴──────────────────────> done
//! ```

use std::time::Duration;

use tokio::time::Instant;

/// How long results may take to leave once no job runs.
const FLUSH_LIMIT: Duration = Duration::from_secs(30);

/// How long the orchestrator may take to end the call once we have.
const CLOSE_LIMIT: Duration = Duration::from_secs(5);

/// What a drain has to do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DrainStep {
    /// Send every job back to the orchestrator.
    ExpireJobs,
    /// End our side of the stream after what is queued.
    HalfClose,
    /// Nothing is left to do; `flushed` tells whether every result left.
    Done { flushed: bool },
}

/// What a drain looks at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct DrainView {
    pub(crate) jobs: usize,
    /// There is a stream after its handshake.
    pub(crate) live: bool,
    /// Messages wait for the writer, or results for a connection.
    pub(crate) unsent: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Finishing { deadline: Option<Instant> },
    Flushing { until: Instant },
    Closing { until: Instant, flush_until: Instant },
}

/// A drain under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Drain {
    stage: Stage,
}

impl Drain {
    /// A drain that begins at `now`; without `grace` jobs may take as long as they want.
    pub(crate) fn new(grace: Option<Duration>, now: Instant) -> Self {
        Self { stage: Stage::Finishing { deadline: grace.and_then(|grace| now.checked_add(grace)) } }
    }

    /// Shortens the grace; never lengthens it.
    pub(crate) fn hurry(&mut self, grace: Duration, now: Instant) {
        if let (Stage::Finishing { deadline }, Some(earlier)) = (&mut self.stage, now.checked_add(grace))
            && deadline.is_none_or(|deadline| earlier < deadline)
        {
            *deadline = Some(earlier);
        }
    }

    /// Whether our side of the stream was ended: its end is then the orchestrator's answer.
    pub(crate) fn is_closing(&self) -> bool {
        matches!(self.stage, Stage::Closing { .. })
    }

    /// The stream broke after we ended our side and results did not get through: flush again on the next one,
    /// within what is left of the flush's time.
    pub(crate) fn flush_again(&mut self) {
        if let Stage::Closing { flush_until, .. } = self.stage {
            self.stage = Stage::Flushing { until: flush_until };
        }
    }

    /// When to look again even if nothing happened.
    pub(crate) fn wakes_at(&self) -> Option<Instant> {
        match self.stage {
            Stage::Finishing { deadline } => deadline,
            Stage::Flushing { until } | Stage::Closing { until, .. } => Some(until),
        }
    }

    /// The next thing to do, if anything; call again until there is nothing.
    pub(crate) fn step(&mut self, view: DrainView, now: Instant) -> Option<DrainStep> {
        match self.stage {
            Stage::Finishing { deadline } if view.jobs > 0 => {
                deadline.is_some_and(|deadline| now >= deadline).then_some(DrainStep::ExpireJobs)
            }
            Stage::Finishing { .. } => {
                self.stage = Stage::Flushing { until: now + FLUSH_LIMIT };
                self.step(view, now)
            }
            Stage::Flushing { until } => match (view.unsent, view.live) {
                (false, true) => {
                    self.stage = Stage::Closing { until: now + CLOSE_LIMIT, flush_until: until };
                    Some(DrainStep::HalfClose)
                }
                // Nobody waits for anything: no reason to dial again just to say so.
                (false, false) => Some(DrainStep::Done { flushed: true }),
                (true, _) => (now >= until).then_some(DrainStep::Done { flushed: false }),
            },
            Stage::Closing { until, .. } => (!view.live || now >= until).then_some(DrainStep::Done { flushed: true }),
        }
    }
}

#[cfg(test)]
mod tests {
    //! The stages and their limits.
    use super::*;

    fn view(jobs: usize, live: bool, unsent: bool) -> DrainView {
        DrainView { jobs, live, unsent }
    }

    #[test]
    fn w19_stages_follow_each_other() {
        let now = Instant::now();
        let mut drain = Drain::new(Some(Duration::from_secs(5)), now);
        assert_eq!(drain.step(view(1, true, true), now), None);
        assert_eq!(drain.step(view(0, true, true), now), None, "results first");
        assert_eq!(drain.step(view(0, true, false), now), Some(DrainStep::HalfClose));
        assert_eq!(drain.step(view(0, true, false), now), None);
        assert_eq!(drain.step(view(0, false, false), now), Some(DrainStep::Done { flushed: true }));
    }

    #[test]
    fn w19_every_stage_has_a_limit() {
        let now = Instant::now();
        let mut drain = Drain::new(Some(Duration::from_secs(5)), now);
        assert_eq!(drain.step(view(1, true, true), now + Duration::from_secs(5)), Some(DrainStep::ExpireJobs));
        assert_eq!(drain.step(view(0, false, true), now), None);
        assert_eq!(drain.step(view(0, false, true), now + FLUSH_LIMIT), Some(DrainStep::Done { flushed: false }));
        let mut drain = Drain::new(None, now);
        assert_eq!(drain.wakes_at(), None, "unlimited");
        drain.step(view(0, true, false), now);
        assert_eq!(drain.step(view(0, true, false), now + CLOSE_LIMIT), Some(DrainStep::Done { flushed: true }));
    }

    #[test]
    fn a_signal_only_shortens() {
        let now = Instant::now();
        let mut drain = Drain::new(Some(Duration::from_secs(5)), now);
        drain.hurry(Duration::from_secs(30), now);
        assert_eq!(drain.wakes_at(), Some(now + Duration::from_secs(5)));
        drain.hurry(Duration::from_secs(1), now);
        assert_eq!(drain.wakes_at(), Some(now + Duration::from_secs(1)));
    }
}
