//! The life of one request as a pure machine: what happened goes in, what to do comes out. No clock, no I/O.
//!
//! ```text
//!            dispatch            Accepted              Result
//!  Queued ------------> Assigned ---------> Running ----------> Finishing --Stored--> Ended
//!    ^  \                  |  \_______________/ |                   ^
//!    |   \ Cancel,         | Lost, Returned,    |                   |
//!    |    \ Deadline       v Result(retryable)  v                   |
//!    +--Stored-- Requeueing <-------------------+   no attempt left-+
//! ```
//!
//! `Requeueing` and `Finishing` last until the decision is on disk: nothing is announced or sent before. Fencing is
//! by attempt: a message for another attempt than the current one is [`Step::Stale`] and changes nothing.

use gen_worker_proto::Attempt;

use crate::request::{ErrorClass, State};

/// How often an attempt may come back without counting as failed. Bounds a worker that keeps answering "busy" or
/// "draining"; past it every return counts.
pub const RETURNS_MAX: u16 = 1_000;

/// Where a live request is, in full.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Waits for a worker.
    Queued,
    /// Sent to a worker.
    Assigned,
    /// Accepted by it.
    Running,
    /// Goes back to the queue once that is on disk.
    Requeueing,
    /// Ends once that is on disk.
    Finishing,
    /// Over.
    Ended,
}

/// What a worker said about a pair it ran.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// Done.
    Ok,
    /// The input is wrong.
    Invalid,
    /// Passing trouble.
    Retryable,
    /// Failed for good.
    Fatal,
    /// The handler ran out of its time.
    TimedOut,
    /// Cancelled.
    Canceled,
}

/// One thing that happened to a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Happened {
    /// The worker accepted the attempt.
    Accepted(Attempt),
    /// The worker finished the attempt.
    Result(Attempt, Status),
    /// The worker gave the attempt back without having failed it: it drains, or is busy.
    Returned(Attempt),
    /// The attempt is gone: its worker vanished, does not know it, or never answered.
    Lost(Attempt),
    /// A client wants it cancelled.
    Cancel,
    /// The worker did not answer a cancel within its grace.
    CancelOverdue(Attempt),
    /// Its deadline has passed.
    Deadline,
    /// The attempt took much longer than its handler may, and its worker did not end it.
    Overtime(Attempt),
    /// Nobody in the pool can run it. Of an attempt on a worker: it was not sent.
    NoWorker,
    /// The last decision (requeue or finish) is on disk.
    Stored,
}

/// How a request ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// With what the function returned.
    Succeeded,
    /// Wrong input.
    Invalid,
    /// The function failed.
    Failed,
    /// Every attempt failed; the class of the last failure.
    RetriesExhausted(ErrorClass),
    /// Cancelled.
    Canceled,
    /// Out of time.
    Deadline,
    /// Nobody can run it.
    NoWorker,
}

/// What to do now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Nothing: it was known already, or will be looked at once the disk is done.
    Nothing,
    /// Drop the message: its pair is not current.
    Stale,
    /// The attempt runs.
    Started,
    /// Tell the worker to stop; the end comes from it.
    AskWorker,
    /// Write the requeue. A class means that the attempt counts as failed. `abort` = tell the worker to forget it.
    Requeue {
        /// Class of the failure, if it is one.
        failure: Option<ErrorClass>,
        /// Whether a worker may still hold the attempt.
        abort: bool,
    },
    /// Write the end. `abort` = tell the worker to forget it.
    Finish {
        /// How it ends.
        end: End,
        /// Class of the failure of the last attempt, if that adds one to the record.
        failure: Option<ErrorClass>,
        /// Whether a worker may still hold the attempt.
        abort: bool,
    },
    /// Put it in line.
    Queue,
    /// Tell everyone that it has ended.
    Announce,
}

/// The machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Life {
    phase: Phase,
    attempt: Attempt,
    /// Highest attempt that may be anywhere: above `attempt` only after a restart, when an assignment may not
    /// have reached the disk.
    ceiling: Attempt,
    failures: u8,
    max_attempts: u8,
    returns: u16,
    cancel: bool,
    expired: bool,
}

impl End {
    /// Terminal state.
    #[must_use]
    pub fn state(self) -> State {
        match self {
            Self::Succeeded => State::Succeeded,
            Self::Canceled => State::Canceled,
            _ => State::Failed,
        }
    }

    /// Code and class of the client's error; none for a success.
    #[must_use]
    pub fn error(self) -> Option<(&'static str, ErrorClass)> {
        Some(match self {
            Self::Succeeded => return None,
            Self::Invalid => ("invalid", ErrorClass::Invalid),
            Self::Failed => ("failed", ErrorClass::Fatal),
            Self::RetriesExhausted(class) => ("retries_exhausted", class),
            Self::Canceled => ("canceled", ErrorClass::Canceled),
            Self::Deadline => ("deadline_exceeded", ErrorClass::Deadline),
            Self::NoWorker => ("no_worker", ErrorClass::Fatal),
        })
    }
}

impl Life {
    /// A request that was just taken in.
    #[must_use]
    pub fn new(max_attempts: u8) -> Self {
        Self {
            phase: Phase::Queued,
            attempt: Attempt(0),
            ceiling: Attempt(0),
            failures: 0,
            max_attempts: max_attempts.max(1),
            returns: 0,
            cancel: false,
            expired: false,
        }
    }

    /// A request read back after a restart. What was stored as queued may have been sent once more without a
    /// record; what was stored as assigned cannot have been.
    #[must_use]
    pub fn recovered(state: State, attempt: Attempt, failures: u8, max_attempts: u8, cancel: bool) -> Self {
        let (phase, ceiling) = match state {
            State::Queued => (Phase::Queued, attempt.next()),
            State::Assigned => (Phase::Assigned, attempt),
            State::Running => (Phase::Running, attempt),
            State::Succeeded | State::Failed | State::Canceled => (Phase::Ended, attempt),
        };
        Self { phase, attempt, ceiling, failures, cancel, ..Self::new(max_attempts) }
    }

    /// Where it is.
    #[must_use]
    pub fn phase(&self) -> Phase {
        self.phase
    }

    /// Current attempt, or the last one that is over while queued.
    #[must_use]
    pub fn attempt(&self) -> Attempt {
        self.attempt
    }

    /// Whether a client asked for a cancel.
    #[must_use]
    pub fn cancel_requested(&self) -> bool {
        self.cancel
    }

    /// Failed attempts so far.
    #[must_use]
    pub fn failures(&self) -> u8 {
        self.failures
    }

    /// Whether a worker holds the current attempt.
    #[must_use]
    pub fn is_on_worker(&self) -> bool {
        matches!(self.phase, Phase::Assigned | Phase::Running)
    }

    /// Whether this attempt, held by a worker that came back, can only come from the process before this one.
    #[must_use]
    pub fn is_adoptable(&self, attempt: Attempt) -> bool {
        self.phase == Phase::Queued && attempt > self.attempt && attempt <= self.ceiling
    }

    /// Whether an earlier process may have sent one attempt more than is on record. What is sent next has to be on
    /// record first, or a third process would give its number again.
    #[must_use]
    pub fn is_behind(&self) -> bool {
        self.ceiling > self.attempt
    }

    /// Places a queued request: its new attempt, above everything that may be anywhere.
    ///
    /// # Panics
    /// When it is not queued: planning looks at queued requests only.
    pub fn dispatch(&mut self) -> Attempt {
        assert_eq!(self.phase, Phase::Queued, "only queued requests are placed");
        self.phase = Phase::Assigned;
        self.attempt = self.ceiling.max(self.attempt).next();
        self.ceiling = self.attempt;
        self.attempt
    }

    /// Takes over an attempt for which [`Life::is_adoptable`] holds; false otherwise.
    pub fn adopt(&mut self, attempt: Attempt) -> bool {
        if !self.is_adoptable(attempt) {
            return false;
        }
        self.phase = Phase::Running;
        self.attempt = attempt;
        self.ceiling = self.ceiling.max(attempt);
        true
    }

    /// One step.
    pub fn step(&mut self, happened: Happened) -> Step {
        match happened {
            Happened::Accepted(attempt) => self.accepted(attempt),
            Happened::Result(attempt, status) => self.result(attempt, status),
            Happened::Returned(attempt) if self.is_current(attempt) => {
                self.returns = self.returns.saturating_add(1);
                let counts = self.returns > RETURNS_MAX;
                self.again(counts.then_some(ErrorClass::Retryable), false)
            }
            Happened::Lost(attempt) if self.is_current(attempt) => self.again(Some(ErrorClass::Lost), true),
            Happened::CancelOverdue(attempt) if self.is_current(attempt) && self.cancel => {
                self.finish(End::Canceled, None)
            }
            Happened::Overtime(attempt) if self.is_current(attempt) && self.cancel => self.finish(End::Canceled, None),
            Happened::Overtime(attempt) if self.is_current(attempt) => {
                self.finish(End::Deadline, Some(ErrorClass::Deadline))
            }
            Happened::Returned(_) | Happened::Lost(_) | Happened::CancelOverdue(_) | Happened::Overtime(_) => {
                Step::Stale
            }
            Happened::Cancel => self.canceled(),
            Happened::Deadline => self.deadline(),
            Happened::NoWorker if matches!(self.phase, Phase::Queued | Phase::Assigned) => {
                self.finish(End::NoWorker, None)
            }
            Happened::NoWorker => Step::Nothing,
            Happened::Stored => self.stored(),
        }
    }

    fn is_current(&self, attempt: Attempt) -> bool {
        self.is_on_worker() && attempt == self.attempt
    }

    fn accepted(&mut self, attempt: Attempt) -> Step {
        match self.phase {
            Phase::Assigned if attempt == self.attempt => {
                self.phase = Phase::Running;
                Step::Started
            }
            Phase::Running if attempt == self.attempt => Step::Nothing,
            _ => Step::Stale,
        }
    }

    fn result(&mut self, attempt: Attempt, status: Status) -> Step {
        if !self.is_current(attempt) {
            return Step::Stale;
        }
        let end = match status {
            Status::Ok => End::Succeeded,
            Status::Invalid => End::Invalid,
            Status::Fatal => End::Failed,
            Status::TimedOut => End::Deadline,
            Status::Canceled => End::Canceled,
            Status::Retryable => return self.again(Some(ErrorClass::Retryable), false),
        };
        // The worker is done with it: there is nothing to abort.
        self.phase = Phase::Finishing;
        let failure = end.error().map(|(_, class)| class).filter(|_| end != End::Canceled);
        Step::Finish { end, failure, abort: false }
    }

    /// The attempt did not work out; `failure` counts against the limit.
    fn again(&mut self, failure: Option<ErrorClass>, abort: bool) -> Step {
        if self.cancel {
            self.phase = Phase::Finishing;
            return Step::Finish { end: End::Canceled, failure: None, abort };
        }
        if let Some(class) = failure {
            self.failures = self.failures.saturating_add(1);
            if self.failures >= self.max_attempts {
                self.phase = Phase::Finishing;
                return Step::Finish { end: End::RetriesExhausted(class), failure, abort };
            }
        }
        self.phase = Phase::Requeueing;
        Step::Requeue { failure, abort }
    }

    fn canceled(&mut self) -> Step {
        match self.phase {
            Phase::Queued => self.finish(End::Canceled, None),
            Phase::Assigned | Phase::Running if !self.cancel => {
                self.cancel = true;
                Step::AskWorker
            }
            Phase::Requeueing => {
                self.cancel = true;
                Step::Nothing
            }
            Phase::Assigned | Phase::Running | Phase::Finishing | Phase::Ended => Step::Nothing,
        }
    }

    fn deadline(&mut self) -> Step {
        match self.phase {
            Phase::Queued | Phase::Assigned | Phase::Running => {
                let failure = self.is_on_worker().then_some(ErrorClass::Deadline);
                self.finish(End::Deadline, failure)
            }
            Phase::Requeueing => {
                self.expired = true;
                Step::Nothing
            }
            Phase::Finishing | Phase::Ended => Step::Nothing,
        }
    }

    fn stored(&mut self) -> Step {
        match self.phase {
            Phase::Finishing => {
                self.phase = Phase::Ended;
                Step::Announce
            }
            Phase::Requeueing => {
                self.phase = Phase::Queued;
                if self.cancel {
                    self.finish(End::Canceled, None)
                } else if self.expired {
                    self.finish(End::Deadline, None)
                } else {
                    Step::Queue
                }
            }
            Phase::Queued | Phase::Assigned | Phase::Running | Phase::Ended => Step::Nothing,
        }
    }

    fn finish(&mut self, end: End, failure: Option<ErrorClass>) -> Step {
        let abort = self.is_on_worker();
        self.phase = Phase::Finishing;
        Step::Finish { end, failure, abort }
    }
}

#[cfg(test)]
mod tests;
