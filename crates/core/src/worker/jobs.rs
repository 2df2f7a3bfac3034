//! Performs the actions of the job machine and feeds it what comes of them, until it asks for nothing more. Owns no
//! state.

use std::{
    sync::{Arc, Weak, atomic::Ordering},
    time::Duration,
};

use gen_worker_proto::Pair;
use tokio::time::Instant;
use tracing::warn;

use super::serving::Serving;
use crate::{
    FailureClass, Instance, WorkerError,
    adapters::Adapters,
    context::{EventSink as _, RequestEvent},
    executor::{Brought, JobCell, JobEvent, Started},
    job::{Action, Ending, NotStored, Outcome},
    ledger::ColdStart,
    outbox::{EndOutput, JobEnd, Outgoing},
    sanitize::sanitize,
};

impl Serving {
    /// Performs what the machine asked for, in order, and what it asks for meanwhile.
    pub(super) fn perform(&mut self) {
        let mut at = 0;
        while at < self.actions.len() {
            let action = self.actions.get_mut(at).map(|action| std::mem::replace(action, Action::Done));
            at += 1;
            if let Some(action) = action {
                self.act(action);
            }
        }
        self.actions.clear();
    }

    fn act(&mut self, action: Action<Arc<JobCell>>) {
        match action {
            Action::Accept { job, others } => {
                job.accepted(others);
                self.outbox.push(Outgoing::Accepted { pair: job.pair().clone(), repeated: false });
            }
            Action::AcceptAgain(pair) => self.outbox.push(Outgoing::Accepted { pair, repeated: true }),
            Action::Refuse { pair, ending } => self.refuse(pair, ending),
            Action::Prepare(job) => {
                if let Some(entry) = self.roster.get(job.function()) {
                    match job.names_files() {
                        true => self.executor.bring(&job, &entry.function),
                        false => self.executor.prepare(&job, &entry.function),
                    }
                }
            }
            Action::Start(job) => self.start(&job),
            Action::Upload { job, output } => {
                if let Err(why) = self.executor.upload(&job, output) {
                    warn!(pair = %job.pair(), %why, "an output cannot be stored");
                    self.table.uploaded(job.pair(), Err(why), &mut self.actions);
                }
            }
            Action::Notify(job) => job.cancel_flag().set(),
            Action::Interrupt(job) => job.interrupt(),
            Action::Overdue(job) => self.timers.watch(job, Instant::now()),
            Action::Abandon(job) => {
                self.timers.forget(job.pair());
                if let (true, Some(deadline)) = (job.occupies_thread(), job.deadline()) {
                    // Its thread has to end in time all the same.
                    self.timers.watch(job.clone(), deadline.max(Instant::now()));
                }
                job.scratch().remove();
                self.outbox.abandon(job.gate(), job.pair());
            }
            Action::Finish { job, ending } => {
                self.timers.forget(job.pair());
                let function = self.roster.get(job.function()).map(|entry| entry.function.name());
                self.executor.finish(&job, function, ending);
            }
            Action::GrantGpu(job) => self.executor.grant_gpu(&job),
            Action::Done => {}
        }
    }

    pub(super) fn job_event(&mut self, event: JobEvent) {
        match event {
            JobEvent::Brought { job, result } => self.brought(&job, result),
            JobEvent::Prepared { job, function, result, adapters } => self.prepared(&job, function, result, adapters),
            JobEvent::Returned { job, outcome, ended, first_poll } => {
                if let (Some(poll), Some(entry)) = (first_poll, self.roster.get_mut(job.function())) {
                    entry.inline.observe(poll);
                }
                self.returned(&job, outcome, ended);
            }
            JobEvent::ThreadEnded { job, outcome, ended } => {
                self.returned(&job, outcome, ended);
                self.table.thread_ended(job.pair(), job.function(), &mut self.actions);
            }
            JobEvent::GpuWanted { job, grant } => {
                job.waits_for_gpu(Some(grant));
                if !self.table.gpu_wanted(job.pair(), &mut self.actions) {
                    job.waits_for_gpu(None);
                }
            }
            JobEvent::Uploaded { job, result } => {
                let file_ref = match result {
                    Ok(file_ref) => Ok(file_ref),
                    Err(error) => {
                        let cause = error.source.to_string();
                        warn!(pair = %job.pair(), cause = %sanitize(&cause), "output upload failed");
                        Err(NotStored::Failed)
                    }
                };
                self.table.uploaded(job.pair(), file_ref, &mut self.actions);
            }
        }
        self.perform();
    }

    fn start(&mut self, job: &Arc<JobCell>) {
        let Some(entry) = self.roster.get(job.function()) else { return };
        if let Some(cell) = entry.function.instance() {
            self.cache.used(cell);
        }
        let started = self.executor.start(job, &entry.function, entry.inline.allows());
        match started {
            Started::Ended { outcome, ended, first_poll } => {
                if let Some(entry) = self.roster.get_mut(job.function()) {
                    entry.inline.observe(first_poll);
                }
                self.returned(job, outcome, ended);
            }
            Started::Running => {
                self.executor.keep_token(job);
                if let Some(at) = job.deadline() {
                    self.timers.deadline(at, job.pair().clone());
                }
            }
        }
    }

    fn returned(&mut self, job: &Arc<JobCell>, outcome: Outcome, ended: Instant) {
        job.ended(ended);
        self.table.returned(job.pair(), outcome, &mut self.actions);
    }

    /// What a job's payload names is here, or never will be: its instance is next.
    fn brought(&mut self, job: &Arc<JobCell>, result: Result<Brought, WorkerError>) {
        let brought = match result {
            Ok(brought) => brought,
            Err(error) => {
                self.model_failed(&error, None);
                let ending = Ending::failed(error.class(), error.client_message());
                return self.table.prepared(job.pair(), Err(ending), &mut self.actions);
            }
        };
        job.brought(brought);
        let function = self.roster.get(job.function()).map(|entry| &entry.function);
        match function.filter(|function| function.instance().is_some()) {
            // Nothing is set up for a job that left meanwhile.
            Some(function) if self.table.handle(job.pair()).is_some_and(|held| Arc::ptr_eq(held, job)) => {
                self.executor.prepare(job, function);
            }
            Some(_) => {}
            None => self.table.prepared(job.pair(), Ok(()), &mut self.actions),
        }
    }

    /// A job's own set-up also tells whether its function can run here.
    fn prepared(
        &mut self,
        job: &Weak<JobCell>,
        function: usize,
        result: Result<(Instance, ColdStart), WorkerError>,
        adapters: Result<Adapters, WorkerError>,
    ) {
        let cell = self.roster.get(function).and_then(|entry| entry.function.instance().cloned());
        if let Some(cell) = cell {
            self.instance_event(&cell, result.as_ref().map(drop), None);
            self.sample_memory();
        }
        if let Err(error) = &adapters {
            self.model_failed(error, None);
        }
        let Some(job) = job.upgrade() else { return };
        let ready = match (result, adapters) {
            // What was named as an adapter and is none is the client's fault.
            (Ok(_), Err(error)) => Err(Ending::failed(error.class(), error.client_message())),
            (Ok((instance, cold)), Ok(adapters)) => {
                job.adapt(adapters);
                tell_cold_start(&job, cold);
                job.lend(instance, cold);
                if let Some(span) = job.gpu() {
                    self.table.runs_on(job.pair(), span);
                }
                Ok(())
            }
            // Another worker, or this one later, may succeed: never the client's fault, whatever the cause.
            (Err(error), _) => Err(Ending::failed(FailureClass::Retryable, error.client_message())),
        };
        self.table.prepared(job.pair(), ready, &mut self.actions);
    }

    fn refuse(&mut self, pair: Pair, ending: Ending) {
        let message = sanitize(&ending.message);
        let end = JobEnd { pair, status: ending.status, output: EndOutput::None, message, metrics: None, record: None };
        self.stats.refused.fetch_add(1, Ordering::Relaxed);
        self.outbox.push(Outgoing::Result(end));
    }
}

/// Whoever watches the request sees what it waited for before its handler says anything.
fn tell_cold_start(job: &JobCell, cold: ColdStart) {
    if !cold.is_cold() {
        return;
    }
    let millis = |part: Duration| u64::try_from(part.as_millis()).unwrap_or(u64::MAX);
    let payload = serde_json::json!({
        "level": "info",
        "message": "cold start",
        "waited_ms": millis(cold.waited),
        "download_ms": millis(cold.download),
        "spawn_ms": millis(cold.spawn),
        "setup_ms": millis(cold.setup),
        "warmup_ms": millis(cold.warmup),
    });
    job.emit(RequestEvent::now("request.log", payload));
}
