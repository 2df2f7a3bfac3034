//! Where the time of one job went: the cold-start ledger, and what whoever watches hears of it. Values only.

use std::time::{Duration, SystemTime};

use gen_worker_proto::{FunctionName, Pair, pb::JobStatus};

/// Shorter cold starts are none: everything was there.
const COLD_MIN: Duration = Duration::from_millis(1);

/// What a job waited for until its instance was there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ColdStart {
    /// Files and the source that its payload names. No part of a cold start: the next job names others.
    pub inputs: Duration,
    /// A place among the processes of its function. No part of a cold start: there are only so many.
    pub queued: Duration,
    /// Other loads, and room for this one.
    pub waited: Duration,
    /// Bytes of its models.
    pub download: Duration,
    /// The start of a process for it.
    pub spawn: Duration,
    /// The author's setup, which reads them.
    pub setup: Duration,
    /// The author's warm-up.
    pub warmup: Duration,
}

/// What a span of a job's time was spent on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PhaseKind {
    /// Files and the source that its payload names.
    Inputs,
    /// A place among the processes of its function.
    WaitForPlace,
    /// Other loads, and room for this one.
    WaitForLoad,
    /// Bytes of models.
    Download,
    /// The start of a process.
    Spawn,
    /// The author's setup.
    Setup,
    /// The author's warm-up.
    Warmup,
    /// An accelerator or a thread.
    WaitForPermit,
    /// The handler.
    Run,
    /// The end of the handler to the end of the job: storing a large output.
    Finish,
}

/// A span of a job's time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Phase {
    /// What it was spent on.
    pub kind: PhaseKind,
    /// Start, counted from the job's arrival.
    pub start: Duration,
    /// Length.
    pub took: Duration,
}

/// One job that ended.
#[derive(Debug)]
pub struct JobRecord<'a> {
    /// The pair.
    pub pair: &'a Pair,
    /// Its function.
    pub function: &'a FunctionName,
    /// How it ended.
    pub status: JobStatus,
    /// When it arrived.
    pub arrived: SystemTime,
    /// From arrival to end.
    pub took: Duration,
    /// Where that time went, in order and without gaps. Phases that took no time are left out.
    pub phases: &'a [Phase],
}

/// Hears of every job that ends. Called on the event loop: must not block.
pub trait JobObserver: Send + Sync {
    /// A job of this worker ended.
    fn ended(&self, record: &JobRecord<'_>);
}

impl ColdStart {
    /// All of it but its files and the wait for a place.
    #[must_use]
    pub fn total(&self) -> Duration {
        self.waited + self.download + self.spawn + self.setup + self.warmup
    }

    /// Whether there is anything to tell.
    #[must_use]
    pub fn is_cold(&self) -> bool {
        self.total() >= COLD_MIN
    }
}

impl PhaseKind {
    /// Name in traces and metrics.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Inputs => "inputs",
            Self::WaitForPlace => "wait_for_place",
            Self::WaitForLoad => "wait_for_load",
            Self::Download => "download",
            Self::Spawn => "spawn",
            Self::Setup => "setup",
            Self::Warmup => "warmup",
            Self::WaitForPermit => "wait_for_permit",
            Self::Run => "run",
            Self::Finish => "finish",
        }
    }
}

/// The phases of a job that took `took` in all: `cold` until its instance was there, then a wait until the handler
/// ran from `started` to `ended`, both counted from its arrival.
pub(crate) fn phases(
    cold: ColdStart,
    started: Option<Duration>,
    ended: Option<Duration>,
    took: Duration,
) -> Vec<Phase> {
    let mut phases = Vec::with_capacity(4);
    let mut at = Duration::ZERO;
    let mut add = |kind, until: Duration| {
        let took = until.saturating_sub(at);
        if !took.is_zero() {
            phases.push(Phase { kind, start: at, took });
            at = until;
        }
    };
    let mut until = Duration::ZERO;
    let parts = [
        (PhaseKind::Inputs, cold.inputs),
        (PhaseKind::WaitForPlace, cold.queued),
        (PhaseKind::WaitForLoad, cold.waited),
        (PhaseKind::Download, cold.download),
        (PhaseKind::Spawn, cold.spawn),
        (PhaseKind::Setup, cold.setup),
        (PhaseKind::Warmup, cold.warmup),
    ];
    for (kind, part) in parts {
        until = (until + part).min(started.unwrap_or(took));
        add(kind, until);
    }
    match started {
        None => add(PhaseKind::WaitForPermit, took),
        Some(started) => {
            add(PhaseKind::WaitForPermit, started);
            add(PhaseKind::Run, ended.unwrap_or(took));
            add(PhaseKind::Finish, took);
        }
    }
    phases
}

#[cfg(test)]
mod tests {
    //! No moment of a job is unaccounted for.
    use proptest::prelude::*;

    use super::*;

    fn millis(count: u64) -> Duration {
        Duration::from_millis(count)
    }

    #[test]
    fn a_cold_job_shows_where_its_time_went() {
        let cold = ColdStart { waited: millis(5), download: millis(20), setup: millis(30), ..ColdStart::default() };
        let phases = phases(cold, Some(millis(60)), Some(millis(100)), millis(101));
        let seen: Vec<_> = phases.iter().map(|phase| (phase.kind.as_str(), phase.took.as_millis())).collect();
        let want =
            [("wait_for_load", 5), ("download", 20), ("setup", 30), ("wait_for_permit", 5), ("run", 40), ("finish", 1)];
        assert_eq!(seen, want);
    }

    #[test]
    fn a_job_in_a_process_of_its_own_shows_the_start_of_that() {
        let cold = ColdStart { queued: millis(7), spawn: millis(11), setup: millis(3), ..ColdStart::default() };
        let phases = phases(cold, Some(millis(21)), Some(millis(30)), millis(30));
        let seen: Vec<_> = phases.iter().map(|phase| (phase.kind.as_str(), phase.took.as_millis())).collect();
        assert_eq!(seen, [("wait_for_place", 7), ("spawn", 11), ("setup", 3), ("run", 9)]);
        assert!(!ColdStart { queued: millis(700), ..ColdStart::default() }.is_cold(), "all of its processes are warm");
    }

    #[test]
    fn a_warm_job_only_runs() {
        let phases = phases(ColdStart::default(), Some(Duration::ZERO), Some(millis(3)), millis(3));
        assert_eq!(phases, [Phase { kind: PhaseKind::Run, start: Duration::ZERO, took: millis(3) }]);
    }

    proptest! {
        #[test]
        fn phases_follow_each_other_without_gaps(
            cold in proptest::array::uniform7(0..50_u64), started in proptest::option::of(0..200_u64),
            ran in proptest::option::of(0..100_u64), rest in 0..20_u64,
        ) {
            let [inputs, queued, waited, download, spawn, setup, warmup] = cold.map(millis);
            let cold = ColdStart { inputs, queued, waited, download, spawn, setup, warmup };
            let started = started.map(millis);
            let ended = started.zip(ran).map(|(started, ran)| started + millis(ran));
            let took = ended.or(started).unwrap_or_default() + millis(rest);
            let phases = phases(cold, started, ended, took);
            let mut at = Duration::ZERO;
            for phase in &phases {
                prop_assert_eq!(phase.start, at);
                at += phase.took;
            }
            prop_assert_eq!(at, took);
        }
    }
}
