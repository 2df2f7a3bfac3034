//! What each fault does.

use std::time::Duration;

use gen_worker_proto::pb;
use rustix::process::Signal;
use tokio::time::Instant;

use super::{
    driver::{Driver, Pumped},
    fault::Fault,
    ledger::{Expect, Key},
};
use crate::exit::Failure;

/// Most jobs at once in a round: enough that they are in different states when the fault strikes.
const JOBS_MAX: u64 = 8;

/// Longest silence of a half-open connection and longest stop of a process. Both ends have timers of many seconds; what
/// is looked for here is what they lose, not when they notice.
const SILENCE_MAX: Duration = Duration::from_millis(500);

/// Deadline of a drain that gives every job its time.
const PATIENT_DRAIN: Duration = Duration::from_secs(3_600);

impl Driver<'_> {
    /// Does what `fault` says. What comes after it is for the caller to wait for.
    pub(super) async fn strike(&mut self, fault: Fault) -> Result<(), Failure> {
        let jobs = 1 + self.dice.below(JOBS_MAX);
        match fault {
            Fault::None => {
                self.send_some(jobs);
            }
            Fault::Duplicate => self.duplicate(jobs).await?,
            Fault::NewerAttempt => self.newer_attempt(jobs).await,
            Fault::Cancel => self.cancel(jobs).await?,
            Fault::Cut => self.cut(jobs).await?,
            Fault::HalfOpen => self.half_open(jobs).await?,
            Fault::Kill => {
                self.send_some(jobs);
                self.a_moment().await;
                self.restart().await?;
                self.reconnect().await?;
                self.wait_ready().await?;
            }
            Fault::Pause => self.pause(jobs).await,
            Fault::Drain => self.drain(jobs).await?,
            Fault::Deadline => self.deadline(jobs),
            Fault::Malformed => self.malformed(jobs),
            Fault::UnknownFunction => (0..jobs).for_each(|_| drop(self.send_unknown())),
        }
        Ok(())
    }

    async fn duplicate(&mut self, jobs: u64) -> Result<(), Failure> {
        let keys = self.send_some(jobs);
        self.a_moment().await;
        keys.iter().for_each(|key| self.send_again(key));
        self.barrier().await;
        self.settle().await?;
        // All have ended: now nothing at all may come of a repeat.
        keys.iter().for_each(|key| self.send_again(key));
        self.barrier().await;
        Ok(())
    }

    async fn newer_attempt(&mut self, jobs: u64) {
        let keys = self.send_some(jobs);
        self.a_moment().await;
        for key in keys {
            self.send_next_attempt(&key);
        }
    }

    async fn cancel(&mut self, jobs: u64) -> Result<(), Failure> {
        let keys = self.send_some(jobs);
        for key in &keys {
            self.a_moment().await;
            match self.dice.below(4) {
                0 => {
                    self.ledger.canceled_beside(key);
                    self.send_cancel_of(&Key { attempt: key.attempt + 1, ..key.clone() });
                }
                1 => self.send_cancel_of(&Key { request_id: format!("{}-nobody", key.request_id), attempt: 1 }),
                _ => self.send_cancel(key),
            }
        }
        self.settle().await?;
        keys.iter().for_each(|key| self.send_cancel_of(key));
        Ok(())
    }

    async fn cut(&mut self, jobs: u64) -> Result<(), Failure> {
        self.send_some(jobs);
        self.a_moment().await;
        if let Some(session) = &self.session {
            session.gate.cut();
        }
        // What had arrived is still read.
        let limit = self.limit();
        self.pump(limit, |_| false).await;
        self.reconnect().await
    }

    async fn half_open(&mut self, jobs: u64) -> Result<(), Failure> {
        self.send_some(jobs);
        self.a_moment().await;
        if let Some(session) = &self.session {
            session.gate.stall();
        }
        let until = Instant::now() + self.dice.moment(SILENCE_MAX);
        self.pump(until, |_| false).await;
        if let Some(session) = self.session.take() {
            session.gate.drop_now();
        }
        self.reconnect().await
    }

    async fn pause(&mut self, jobs: u64) {
        self.send_some(jobs);
        self.a_moment().await;
        self.signal(Signal::STOP);
        self.send_some(1);
        let until = Instant::now() + self.dice.moment(SILENCE_MAX);
        self.pump(until, |_| false).await;
        self.signal(Signal::CONT);
    }

    async fn drain(&mut self, jobs: u64) -> Result<(), Failure> {
        self.send_some(jobs);
        self.a_moment().await;
        let short = self.dice.moment(self.pace) + Duration::from_millis(1);
        let deadline = self.dice.pick(&[None, Some(PATIENT_DRAIN), Some(short)]).copied().flatten();
        if let Some(session) = &self.session {
            session.drain(deadline);
        }
        self.ledger.draining();
        let (job, _) = self.some_job();
        let late = self.send_new(job, Expect::Refused);
        let limit = self.limit();
        // Until the worker half-closes; then the call is ended, as O18 has it, by letting go of it.
        let pumped = self.pump(limit, |_| false).await;
        // With nothing to do the worker may be gone before the late job reaches it.
        self.ledger.abandon(&late);
        if pumped != Pumped::Lost {
            self.ledger.findings.violation("W19", "the worker did not end its stream after Drain");
        } else if !self.ledger.is_settled() {
            self.ledger.findings.violation("W19", "the worker ended its stream before the results of its jobs");
        }
        self.session = None;
        match self.exit_code().await {
            Some(0) => {}
            Some(code) => self.ledger.findings.violation("W19", format!("exit code {code} after a drain")),
            None => self.ledger.findings.violation("W19", "the worker did not exit after a drain"),
        }
        self.restart().await?;
        self.reconnect().await?;
        self.wait_ready().await
    }

    fn deadline(&mut self, jobs: u64) {
        for _ in 0..jobs {
            let (job, expect) = self.some_job();
            self.send_new(pb::RunJob { timeout_ms: 1, ..job }, expect);
        }
    }

    fn malformed(&mut self, jobs: u64) {
        for _ in 0..jobs {
            let (job, _) = self.some_job();
            let good = job.input_payload.as_ref();
            let bad = match self.dice.below(4) {
                0 => Vec::new(),
                // Never used by MessagePack.
                1 => vec![0xc1],
                // An array.
                2 => vec![0x93, 1, 2, 3],
                // Something after the end.
                _ => [good, &[0xc0]].concat(),
            };
            self.send_new(pb::RunJob { input_payload: bad.into(), ..job }, Expect::Malformed);
        }
    }
}
