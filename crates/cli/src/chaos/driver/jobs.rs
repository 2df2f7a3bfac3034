//! Sending jobs and cancels.

use std::time::Duration;

use gen_worker_proto::pb::{self, scheduler_message::Msg as Outbound};
use tokio::time::Instant;

use super::{Driver, Pumped};
use crate::{
    chaos::ledger::{Expect, Key},
    exit::Failure,
};

/// Jobs that are measured to learn how long one takes.
const MEASURED_JOBS: usize = 5;

impl Driver<'_> {
    /// A job of a random call.
    pub(in crate::chaos) fn some_job(&mut self) -> (pb::RunJob, Expect) {
        let count = u64::try_from(self.plan.calls.len()).unwrap_or(u64::MAX);
        let index = usize::try_from(self.dice.below(count)).unwrap_or_default();
        (self.job_of(index), Expect::Runs(index))
    }

    fn job_of(&self, index: usize) -> pb::RunJob {
        let call = self.plan.calls.get(index);
        pb::RunJob {
            function_name: call.map(|call| call.function.clone()).unwrap_or_default(),
            input_payload: call.map(|call| call.payload.clone()).unwrap_or_default(),
            tenant: "chaos".to_owned(),
            ..pb::RunJob::default()
        }
    }

    /// Sends a new request, attempt 1.
    pub(in crate::chaos) fn send_new(&mut self, job: pb::RunJob, expect: Expect) -> Key {
        self.jobs += 1;
        // Ids sort in the order in which they were made.
        let key = Key { request_id: format!("chaos-{}-{:010}", self.run_id, self.jobs), attempt: 1 };
        self.send_job(&key, job, expect);
        key
    }

    /// Sends so many new requests of random calls.
    pub(in crate::chaos) fn send_some(&mut self, count: u64) -> Vec<Key> {
        (0..count)
            .map(|_| {
                let (job, expect) = self.some_job();
                self.send_new(job, expect)
            })
            .collect()
    }

    /// Sends the same pair again.
    pub(in crate::chaos) fn send_again(&mut self, key: &Key) {
        if let Some((job, expect)) = self.sent.get(key).cloned() {
            self.send_job(key, job, expect);
        }
    }

    /// Sends the next attempt of the pair's request. A job that was to be refused is not asked for again.
    pub(in crate::chaos) fn send_next_attempt(&mut self, key: &Key) -> Option<Key> {
        let (job, expect) = self.sent.get(key).cloned().filter(|(_, expect)| *expect != Expect::Refused)?;
        let next = Key { attempt: key.attempt + 1, ..key.clone() };
        self.send_job(&next, job, expect);
        Some(next)
    }

    fn send_job(&mut self, key: &Key, mut job: pb::RunJob, expect: Expect) {
        job.request_id.clone_from(&key.request_id);
        job.attempt = key.attempt;
        self.ledger.sent(key, expect);
        self.sent.insert(key.clone(), (job.clone(), expect));
        self.send(Outbound::RunJob(job));
    }

    /// Cancels exactly this pair.
    pub(in crate::chaos) fn send_cancel(&mut self, key: &Key) {
        self.ledger.canceled(key, Instant::now().into_std());
        self.send_cancel_of(key);
    }

    /// Sends a cancel without expecting that it does anything.
    pub(in crate::chaos) fn send_cancel_of(&mut self, key: &Key) {
        let Key { request_id, attempt } = key.clone();
        self.send(Outbound::CancelJob(pb::CancelJob { request_id, attempt }));
    }

    /// Sends, if there is a connection.
    fn send(&mut self, message: Outbound) {
        if let Some(session) = &self.session {
            session.send(message);
        }
    }

    /// Sends a job that is refused at once, and waits for the refusal: everything sent before has been handled then.
    pub(in crate::chaos) async fn barrier(&mut self) -> Pumped {
        let key = self.send_unknown();
        let limit = self.limit();
        let pumped = self.pump(limit, |ledger| ledger.has_result(&key)).await;
        match pumped {
            Pumped::Done => self.ledger.answered(),
            Pumped::Late => {
                self.ledger.findings.violation("C5", format!("{key}: a job of an unknown function has no answer"));
                self.ledger.abandon(&key);
            }
            Pumped::Lost => self.ledger.abandon(&key),
        }
        pumped
    }

    /// Sends a job of a function that nobody has.
    pub(in crate::chaos) fn send_unknown(&mut self) -> Key {
        let function_name = format!("chaos-nobody-has-this-{}", self.run_id);
        self.send_new(pb::RunJob { function_name, ..pb::RunJob::default() }, Expect::Unknown)
    }

    /// Median time of a few jobs, one by one.
    pub(in crate::chaos) async fn typical_job(&mut self) -> Result<Duration, Failure> {
        let mut took = Vec::new();
        for index in 0..MEASURED_JOBS {
            let index = index % self.plan.calls.len().max(1);
            let started = Instant::now();
            let job = self.job_of(index);
            self.send_new(job, Expect::Runs(index));
            self.settle().await?;
            took.push(started.elapsed());
        }
        took.sort();
        Ok(took.get(took.len() / 2).copied().unwrap_or_default())
    }
}
