//! The kinds of faults.

/// What one round does to a worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Fault {
    /// Nothing.
    None,
    /// The same `RunJob` twice while it runs, and again when it ended.
    Duplicate,
    /// A newer attempt while the old one runs.
    NewerAttempt,
    /// Cancels: right ones, of other attempts, of unknown and of ended jobs.
    Cancel,
    /// The connection breaks.
    Cut,
    /// The connection goes silent both ways, then is gone.
    HalfOpen,
    /// kill -9, and a new process with the same worker id.
    Kill,
    /// SIGSTOP, more jobs, SIGCONT.
    Pause,
    /// A drain, a job after it, and a new process.
    Drain,
    /// A deadline of one millisecond.
    Deadline,
    /// Payloads that are no MessagePack map.
    Malformed,
    /// Functions that nobody has.
    UnknownFunction,
}

impl Fault {
    /// All kinds, in the order in which seeds go through them.
    pub(super) const ALL: [Self; 12] = [
        Self::None,
        Self::Duplicate,
        Self::NewerAttempt,
        Self::Cancel,
        Self::Cut,
        Self::HalfOpen,
        Self::Kill,
        Self::Pause,
        Self::Drain,
        Self::Deadline,
        Self::Malformed,
        Self::UnknownFunction,
    ];

    /// The fault of a round: as many seeds in a row as there are kinds have each once.
    pub(super) fn of_seed(seed: u64) -> Self {
        let kinds = u64::try_from(Self::ALL.len()).unwrap_or(u64::MAX);
        let index = usize::try_from(seed % kinds).unwrap_or_default();
        Self::ALL.get(index).copied().unwrap_or(Self::None)
    }

    /// Its name in reports.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Duplicate => "duplicate",
            Self::NewerAttempt => "newer attempt",
            Self::Cancel => "cancel",
            Self::Cut => "cut connection",
            Self::HalfOpen => "half-open connection",
            Self::Kill => "kill -9",
            Self::Pause => "stop and continue",
            Self::Drain => "drain",
            Self::Deadline => "deadline of 1 ms",
            Self::Malformed => "malformed payload",
            Self::UnknownFunction => "unknown function",
        }
    }
}
