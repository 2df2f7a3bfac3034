//! One pair: what it was sent for, and what the worker may still say of it.

use std::{
    fmt,
    hash::{DefaultHasher, Hash as _, Hasher as _},
    time::{Duration, Instant},
};

use gen_worker_proto::{
    limits::{INLINE_OUTPUT_BYTES_MAX, SEND_QUEUE_ENTRIES_MAX},
    pb::{self, JobStatus, job_result::Output},
};

use crate::chaos::findings::Findings;

/// A request and one of its attempts, as they are on the wire.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(in crate::chaos) struct Key {
    pub(in crate::chaos) request_id: String,
    pub(in crate::chaos) attempt: i64,
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.request_id, self.attempt)
    }
}

/// What a RunJob has to lead to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::chaos) enum Expect {
    /// Acceptance and any result, of the call with this number.
    Runs(usize),
    /// Acceptance, then INVALID.
    Malformed,
    /// INVALID without acceptance.
    Unknown,
    /// RETRYABLE without acceptance, because the worker drains.
    Refused,
}

/// When and where a message came.
#[derive(Clone, Copy, Debug)]
pub(super) struct Now {
    pub(super) connection: u64,
    /// Frames of this connection before it.
    pub(super) frames: u64,
    pub(super) at: Instant,
}

/// A first result.
#[derive(Debug)]
pub(super) struct Ending {
    pub(super) status: &'static str,
    pub(super) canceled_after: Option<Duration>,
    /// The call and a digest of its OK output.
    pub(super) output: Option<(usize, u64)>,
    pub(super) is_drain_refusal: bool,
}

#[derive(Debug)]
pub(super) struct Job {
    expect: Expect,
    sends: u32,
    accepts: u32,
    sends_here: u32,
    pub(super) accepts_here: u32,
    /// Accepted, or listed in a Hello.
    owned: bool,
    listed_on: Option<u64>,
    /// Connection of the first result.
    result_on: Option<u64>,
    seq: i64,
    /// Connection on which the order of frames is unbroken.
    order_on: Option<u64>,
    pub(super) canceled: Option<Instant>,
    pub(super) canceled_beside: bool,
    pub(super) silenced: bool,
    pub(super) probed: bool,
}

impl Job {
    pub(super) fn new(expect: Expect) -> Self {
        Self {
            expect,
            sends: 0,
            accepts: 0,
            sends_here: 0,
            accepts_here: 0,
            owned: false,
            listed_on: None,
            result_on: None,
            seq: 0,
            order_on: None,
            canceled: None,
            canceled_beside: false,
            silenced: false,
            probed: false,
        }
    }

    pub(super) fn sent(&mut self) {
        self.sends += 1;
        self.sends_here += 1;
    }

    /// A new connection: what was sent on the old one may never have arrived.
    pub(super) fn connected(&mut self) {
        self.sends_here = 0;
        self.accepts_here = 0;
    }

    pub(super) fn has_result(&self) -> bool {
        self.result_on.is_some()
    }

    pub(super) fn is_owned(&self) -> bool {
        self.owned
    }

    pub(super) fn is_listed(&self, connection: u64) -> bool {
        self.listed_on == Some(connection)
    }

    /// The Hello of this connection has it.
    pub(super) fn listed(&mut self, key: &Key, connection: u64, findings: &mut Findings) {
        if self.silenced {
            findings.violation("W2", format!("Hello.in_flight has {key}, which a newer attempt superseded"));
        }
        self.owned = true;
        self.listed_on = Some(connection);
    }

    pub(super) fn accepted(&mut self, key: &Key, now: Now, findings: &mut Findings) {
        self.accepts += 1;
        self.accepts_here += 1;
        if !self.owned {
            self.owned = true;
            self.order_on = Some(now.connection);
        }
        let broken = if self.silenced {
            Some(("W10", "accepted after a newer attempt was accepted"))
        } else if self.probed {
            Some(("W2", "missing from Hello.in_flight, but a repeated RunJob was accepted: it was held or forgotten"))
        } else if self.has_result() {
            Some(if self.sends > 1 {
                ("W9", "accepted again after its end")
            } else {
                ("W13", "accepted after its result")
            })
        } else if self.accepts > self.sends {
            Some(("W8", "accepted more often than it was sent"))
        } else {
            match self.expect {
                Expect::Unknown => Some(("C5", "a job of an unknown function was accepted")),
                Expect::Refused => Some(("W19", "a job that came after Drain was accepted")),
                Expect::Runs(_) | Expect::Malformed => None,
            }
        };
        if let Some((rule, text)) = broken {
            findings.violation(rule, format!("{key}: {text}"));
        }
    }

    pub(super) fn progressed(&mut self, key: &Key, seq: i64, now: Now, findings: &mut Findings) {
        let last = std::mem::replace(&mut self.seq, seq);
        let is_ordered = self.order_on.replace(now.connection) == Some(now.connection);
        // A full send queue loses its oldest frames; before so many have come it cannot have been full.
        let may_be_dropped = now.frames >= u64::try_from(SEND_QUEUE_ENTRIES_MAX).unwrap_or(u64::MAX);
        let broken = if self.silenced {
            Some(("W10", "a frame after a newer attempt was accepted".to_owned()))
        } else if self.has_result() {
            Some(("W13", "a frame after its result".to_owned()))
        } else if !self.owned {
            Some(("W13", "a frame before its acceptance".to_owned()))
        } else if seq <= last || (is_ordered && !may_be_dropped && seq != last.saturating_add(1)) {
            Some(("W24", format!("frame {seq} after frame {last}")))
        } else {
            None
        };
        if let Some((rule, text)) = broken {
            findings.violation(rule, format!("{key}: {text}"));
        }
    }

    /// Takes a result; none when it is not the first.
    pub(super) fn ended(
        &mut self,
        key: &Key,
        result: &pb::JobResult,
        now: Now,
        findings: &mut Findings,
    ) -> Option<Ending> {
        let status = result.status();
        if self.silenced {
            findings.violation("W10", format!("{key}: a result after a newer attempt was accepted"));
        }
        if let Some(first) = self.result_on {
            // The write of the first may have outrun the break: then the worker cannot know that it arrived.
            if first != now.connection && self.is_listed(now.connection) {
                findings.note("a result that had arrived came again after a break, as W18 allows");
            } else {
                findings.violation("W14", format!("{key}: a second result, {}", status.as_str_name()));
            }
            return None;
        }
        self.result_on = Some(now.connection);
        self.check_status(key, result, findings);
        let canceled_after = self.canceled.map(|sent| now.at.saturating_duration_since(sent));
        let output = match (self.expect, status, &result.output) {
            (Expect::Runs(call), JobStatus::Ok, Some(Output::Inline(bytes))) => Some((call, digest(bytes))),
            _ => None,
        };
        Some(Ending {
            status: status.as_str_name(),
            canceled_after: canceled_after.filter(|_| status == JobStatus::Canceled),
            output,
            is_drain_refusal: self.expect == Expect::Refused && !self.owned,
        })
    }

    fn check_status(&self, key: &Key, result: &pb::JobResult, findings: &mut Findings) {
        let status = result.status();
        let is_refusal = matches!(status, JobStatus::Invalid | JobStatus::Retryable) && result.metrics.is_none();
        let shown = format!("{} {:?}", status.as_str_name(), result.safe_message);
        let mut broken = |rule, text: &str| findings.violation(rule, format!("{key}: {text}: {shown}"));
        match self.expect {
            Expect::Unknown if status != JobStatus::Invalid => broken("C5", "a job of an unknown function"),
            Expect::Refused if !self.owned && (status != JobStatus::Retryable || !is_refusal) => {
                broken("W19", "a job that came after Drain");
            }
            Expect::Malformed if matches!(status, JobStatus::Ok | JobStatus::Fatal) => {
                broken("W12", "a malformed payload");
            }
            Expect::Malformed if !self.owned && status == JobStatus::Invalid => {
                broken("W12", "a malformed payload was refused without acceptance");
            }
            _ if !self.owned && !is_refusal => broken("W12", "a result without acceptance that is no refusal"),
            _ => {}
        }
        if status == JobStatus::Unspecified {
            broken("C3", "a result without a status");
        }
        if status == JobStatus::Canceled && self.canceled.is_none() {
            if self.canceled_beside {
                broken("W15", "a cancel of another attempt took effect");
            } else {
                findings.note("a job ended CANCELED that nobody had canceled");
            }
        }
        if let Some(Output::Inline(bytes)) = result.output.as_ref().filter(|_| status == JobStatus::Ok)
            && bytes.len() > INLINE_OUTPUT_BYTES_MAX
        {
            findings.violation("9.1", format!("{key}: an inline output of {} bytes", bytes.len()));
        }
    }

    /// Each RunJob of this connection has been handled.
    pub(super) fn answered(&self, key: &Key, findings: &mut Findings) {
        if self.accepts_here < self.sends_here && !self.probed && self.expect != Expect::Refused {
            let (rule, text) = if self.sends > 1 {
                ("W8", "a repeated RunJob of a running pair was not accepted again")
            } else {
                ("W12", "not accepted when a later RunJob was answered")
            };
            findings.violation(rule, format!("{key}: {text}"));
        }
    }
}

fn digest(bytes: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    bytes.hash(&mut hasher);
    hasher.finish()
}
