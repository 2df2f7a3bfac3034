//! The jobs of this worker as a pure machine: the wire contract, rules W8 to W19 as far as they decide.
//!
//! Owns which pairs are held and in which stage, which are remembered as finished, and who may use a thread for
//! a blocking handler. Has no clock, no task and no I/O: an event in, [`Action`]s out, which the executor performs
//! in order.
//!
//! ```text
//!   arrival ─┬─ held, same attempt ──────────────────────────────> accept again
//!            ├─ finished and remembered ─────────────────────────> nothing
//!            ├─ draining, unknown, disabled, too large, busy ────> refuse (not remembered)
//!            └─ accept ─> Preparing ─> WaitingForGpu ─> WaitingForThread ─> Running ─> Uploading ─> finish
//!                            │ (instance)  │ (accelerator)  │ (blocking)      │           │
//!                            └─────────────┴────────────────┴─────────────────┴───────────┴── cancel, deadline, drain: finish
//!                                                                                             newer attempt: abandon, silently
//! ```

mod arrival;
mod finished;
mod gpus;
mod outcome;
mod threads;

use bytes::Bytes;
use gen_worker_proto::{Attempt, Pair, RequestId, limits::INLINE_OUTPUT_BYTES_MAX};

use crate::{FailureClass, hash::FastMap, outbox::EndOutput};

pub use arrival::{Arrival, Needs, Target};
use finished::FinishedPairs;
pub(crate) use gpus::DEVICES_MAX;
pub use gpus::GpuSpan;
use gpus::Gpus;
pub use outcome::{Ending, Outcome};
use threads::Threads;

/// What the executor has to do. `job` is the caller's own handle of a job.
#[derive(Debug, PartialEq)]
pub enum Action<J> {
    /// Queue an acceptance; `others` jobs were held when this one came.
    Accept {
        /// The new job.
        job: J,
        /// Jobs held besides it.
        others: usize,
    },
    /// Queue an acceptance of a pair that was accepted before.
    AcceptAgain(Pair),
    /// Queue a result for a pair that was never accepted.
    Refuse {
        /// The pair.
        pair: Pair,
        /// Why.
        ending: Ending,
    },
    /// Get the files and the source its payload names and the instance its function needs, then report [`JobTable::prepared`].
    Prepare(J),
    /// Run the handler, then report [`JobTable::returned`].
    Start(J),
    /// Store this output, then report [`JobTable::uploaded`].
    Upload {
        /// The job.
        job: J,
        /// Its encoded output.
        output: Bytes,
    },
    /// Tell the handler that it should end; it is not interrupted.
    Notify(J),
    /// Tell the handler and drop its work.
    Interrupt(J),
    /// Its blocking handler is past its deadline: watch that the thread ends.
    Overdue(J),
    /// Drop everything queued for it: a newer attempt took its place.
    Abandon(J),
    /// The accelerators that its running handler gave away are its own again.
    GrantGpu(J),
    /// Nothing: the place of an action that was performed.
    Done,
    /// Queue the result.
    Finish {
        /// The job, which has left the table.
        job: J,
        /// How it ended.
        ending: Ending,
    },
}

/// Why an output was not stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotStored {
    /// It did not work this time.
    #[error("output upload failed")]
    Failed,
    /// There is nowhere to store it: another attempt would end the same.
    #[error("output payload too large: {bytes} bytes, and this worker stores nothing above {INLINE_OUTPUT_BYTES_MAX}")]
    NoStore {
        /// Its size.
        bytes: usize,
    },
    /// Files of that size are not stored: another attempt would end the same.
    #[error("output payload too large: {bytes} bytes, and this worker uploads files of at most {bytes_max} bytes")]
    TooLarge {
        /// Its size.
        bytes: usize,
        /// Size of the largest that are.
        bytes_max: usize,
    },
}

/// Bounds of a job table; 0 means no bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JobLimits {
    /// Jobs held at once.
    pub jobs_max: usize,
    /// Bytes of one input.
    pub input_bytes_max: usize,
    /// Bytes of one encoded output.
    pub output_bytes_max: usize,
    /// Blocking handlers at once, at least one.
    pub threads: usize,
    /// Jobs at once on one accelerator, at least one.
    pub jobs_per_gpu: usize,
    /// Finished pairs that are remembered.
    pub finished_max: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Preparing,
    WaitingForGpu,
    WaitingForThread,
    Running,
    Uploading,
}

#[derive(Debug)]
struct Job<J> {
    attempt: Attempt,
    stage: Stage,
    needs: Needs,
    cancel_requested: bool,
    /// Its blocking handler has a thread, which counts against its function until it ends.
    on_thread: bool,
    /// It holds accelerators, and nobody else will say when it no longer does: its handler has not started.
    on_gpu: bool,
    /// Its running handler gave its accelerators away and stands in line for them.
    wants_gpu: bool,
    handle: J,
}

/// Every job this worker holds.
#[derive(Debug)]
pub struct JobTable<J> {
    jobs: FastMap<RequestId, Job<J>>,
    finished: FinishedPairs,
    threads: Threads,
    gpus: Gpus,
    /// Jobs held and threads not yet free per function, by the number the caller gave it.
    per_function: Vec<usize>,
    limits: JobLimits,
}

impl<J: Clone> JobTable<J> {
    /// An empty table for `functions` functions, numbered from 0.
    #[must_use]
    pub fn new(functions: usize, limits: JobLimits) -> Self {
        Self {
            jobs: FastMap::default(),
            finished: FinishedPairs::new(limits.finished_max),
            threads: Threads::new(limits.threads),
            gpus: Gpus::new(limits.jobs_per_gpu),
            per_function: vec![0; functions],
            limits,
        }
    }

    /// Jobs held.
    #[must_use]
    pub fn len(&self) -> usize {
        self.jobs.len()
    }

    /// Pairs held, in no order.
    pub fn held(&self) -> impl Iterator<Item = Pair> + '_ {
        self.jobs.iter().map(|(id, job)| Pair { request_id: id.clone(), attempt: job.attempt })
    }

    /// A pair that an earlier process finished: not run again (W9).
    pub fn remember_finished(&mut self, pair: Pair) {
        self.finished.remember(pair);
    }

    /// A pair was dispatched to this worker. `handle` makes the caller's handle once the pair is accepted.
    pub fn arrived(&mut self, arrival: Arrival<'_>, handle: impl FnOnce(Pair) -> J, actions: &mut Vec<Action<J>>) {
        let pair = arrival.pair;
        let superseded = match self.jobs.get(&pair.request_id) {
            Some(job) if job.attempt == pair.attempt => return actions.push(Action::AcceptAgain(pair)),
            held => held.is_some(),
        };
        if self.finished.contains(&pair) {
            return;
        }
        if superseded && let Some(older) = self.jobs.remove(&pair.request_id) {
            self.release(&older, &pair);
            actions.push(Action::Interrupt(older.handle.clone()));
            actions.push(Action::Abandon(older.handle));
            self.fill_gpus(actions);
        }
        let needs = match self.refusal(&arrival.target, arrival.draining, arrival.input_bytes) {
            Ok(needs) => needs,
            Err(ending) => return actions.push(Action::Refuse { pair, ending }),
        };
        if let Some(held) = self.per_function.get_mut(needs.function) {
            *held += 1;
        }
        let handle = handle(pair.clone());
        actions.push(Action::Accept { job: handle.clone(), others: self.jobs.len() });
        let stage = if needs.files || needs.instance {
            actions.push(Action::Prepare(handle.clone()));
            Stage::Preparing
        } else {
            self.admit(&pair, needs)
        };
        let running = stage == Stage::Running;
        if running {
            actions.push(Action::Start(handle.clone()));
        }
        let (on_thread, on_gpu) = (needs.thread && running, needs.gpu.is_some() && stage == Stage::WaitingForThread);
        let job = Job {
            attempt: pair.attempt,
            stage,
            needs,
            cancel_requested: false,
            on_thread,
            on_gpu,
            wants_gpu: false,
            handle,
        };
        self.jobs.insert(pair.request_id, job);
    }

    /// What `pair` needs before it may run is there, or cannot be had.
    pub fn prepared(&mut self, pair: &Pair, result: Result<(), Ending>, actions: &mut Vec<Action<J>>) {
        if self.stage(pair) != Some(Stage::Preparing) {
            return;
        }
        match result {
            Ok(()) => self.advance(pair, |table, needs| table.admit(pair, needs), actions),
            Err(ending) => self.finish(pair, ending, actions),
        }
    }

    /// The job that is being prepared runs on `span` instead, where its instance turned out to be. Comes before
    /// [`JobTable::prepared`].
    pub(crate) fn runs_on(&mut self, pair: &Pair, span: GpuSpan) {
        if let Some(job) = self.job(pair)
            && job.stage == Stage::Preparing
        {
            job.needs.gpu = Some(span);
        }
    }

    /// The handle of a pair that is held.
    pub(crate) fn handle(&self, pair: &Pair) -> Option<&J> {
        let held = self.jobs.get(&pair.request_id).filter(|job| job.attempt == pair.attempt);
        held.map(|job| &job.handle)
    }

    /// The handler of `pair` ended.
    pub fn returned(&mut self, pair: &Pair, outcome: Outcome, actions: &mut Vec<Action<J>>) {
        if self.stage(pair) != Some(Stage::Running) {
            return;
        }
        let output = match outcome {
            Outcome::Output(output) => output,
            Outcome::Failed { class, message } => {
                let canceled = self.jobs.get(&pair.request_id).is_some_and(|job| job.cancel_requested);
                // A handler that fails after it was told to stop fails because of that.
                let ending = if canceled { Ending::canceled() } else { Ending::failed(class, message) };
                return self.finish(pair, ending, actions);
            }
        };
        let bytes = output.as_ref().map_or(0, Bytes::len);
        if exceeds(bytes, self.limits.output_bytes_max) {
            let ending = Ending::failed(FailureClass::Invalid, "output payload too large");
            return self.finish(pair, ending, actions);
        }
        match output {
            Some(output) if bytes > INLINE_OUTPUT_BYTES_MAX => {
                if let Some(job) = self.jobs.get_mut(&pair.request_id) {
                    job.stage = Stage::Uploading;
                    actions.push(Action::Upload { job: job.handle.clone(), output });
                }
            }
            Some(output) => self.finish(pair, Ending::ok(EndOutput::Inline(output)), actions),
            None => self.finish(pair, Ending::ok(EndOutput::None), actions),
        }
    }

    /// The output of `pair` is stored under a file ref, or is not and never will be.
    pub fn uploaded(&mut self, pair: &Pair, file_ref: Result<String, NotStored>, actions: &mut Vec<Action<J>>) {
        if self.stage(pair) != Some(Stage::Uploading) {
            return;
        }
        let ending = match file_ref {
            Ok(file_ref) => Ending::ok(EndOutput::BlobRef(file_ref)),
            Err(why @ NotStored::Failed) => Ending::failed(FailureClass::Retryable, why.to_string()),
            Err(why) => Ending::failed(FailureClass::Invalid, why.to_string()),
        };
        self.finish(pair, ending, actions);
    }

    /// The orchestrator wants `pair` to end. A pair that is not held is ignored.
    pub fn cancel(&mut self, pair: &Pair, actions: &mut Vec<Action<J>>) {
        let Some(job) = self.job(pair) else { return };
        if job.stage == Stage::Running && job.needs.thread {
            if !job.cancel_requested {
                job.cancel_requested = true;
                actions.push(Action::Notify(job.handle.clone()));
            }
            return;
        }
        actions.push(Action::Interrupt(job.handle.clone()));
        self.finish(pair, Ending::canceled(), actions);
    }

    /// The time of the handler of `pair` is up.
    pub fn deadline(&mut self, pair: &Pair, actions: &mut Vec<Action<J>>) {
        let Some(job) = self.job(pair) else { return };
        if job.stage != Stage::Running {
            return;
        }
        actions.push(Action::Interrupt(job.handle.clone()));
        if job.needs.thread {
            actions.push(Action::Overdue(job.handle.clone()));
        }
        let ending = if job.cancel_requested {
            Ending::canceled()
        } else {
            Ending::failed(FailureClass::Fatal, "deadline exceeded")
        };
        self.finish(pair, ending, actions);
    }

    /// The thread on which the blocking handler of `pair` ran is free again. Must be called once per started
    /// blocking job, also when that job left the table long before.
    pub fn thread_ended(&mut self, pair: &Pair, function: usize, actions: &mut Vec<Action<J>>) {
        match self.job(pair).filter(|job| job.on_thread) {
            Some(job) => job.on_thread = false,
            None => self.uncount(function),
        }
        self.threads.release();
        while let Some(pair) = self.threads.next() {
            if self.stage(&pair) == Some(Stage::WaitingForThread) {
                return self.start(&pair, actions);
            }
            self.threads.release();
        }
    }

    /// A handler that was started on accelerators has let go of them. Must be called once per started job that needs
    /// some, also when it left the table long before.
    pub fn gpu_ended(&mut self, span: GpuSpan, actions: &mut Vec<Action<J>>) {
        self.gpus.release(span);
        self.fill_gpus(actions);
    }

    /// The handler of `pair`, which gave its accelerators away ([`JobTable::gpu_ended`]), wants them back: now, or when its
    /// turn comes. Whether it still runs.
    pub fn gpu_wanted(&mut self, pair: &Pair, actions: &mut Vec<Action<J>>) -> bool {
        let Some(job) = self.job(pair).filter(|job| job.stage == Stage::Running && !job.wants_gpu) else {
            return false;
        };
        let (Some(span), handle) = (job.needs.gpu, job.handle.clone()) else { return false };
        if self.gpus.acquire(pair, span) {
            actions.push(Action::GrantGpu(handle));
        } else if let Some(job) = self.job(pair) {
            job.wants_gpu = true;
        }
        true
    }

    /// The grace of a drain is over: every job left goes back to the orchestrator.
    pub fn drain_deadline(&mut self, actions: &mut Vec<Action<J>>) {
        let held: Vec<_> = self.held().collect();
        for pair in held {
            if let Some(job) = self.job(&pair) {
                actions.push(Action::Interrupt(job.handle.clone()));
            }
            self.finish(&pair, Ending::draining(), actions);
        }
    }

    fn refusal(&self, target: &Target<'_>, draining: bool, input_bytes: usize) -> Result<Needs, Ending> {
        if draining {
            return Err(Ending::draining());
        }
        let needs = match target {
            Target::Unknown(name) => {
                return Err(Ending::failed(FailureClass::Invalid, format!("unknown function '{name}'")));
            }
            Target::Disabled(reason) => {
                return Err(Ending::failed(FailureClass::Retryable, format!("function unavailable: {reason}")));
            }
            Target::Invalid(reason) => return Err(Ending::failed(FailureClass::Invalid, *reason)),
            Target::Known(needs) => *needs,
        };
        if exceeds(input_bytes, self.limits.input_bytes_max) {
            return Err(Ending::failed(FailureClass::Invalid, "input payload too large"));
        }
        let held = self.per_function.get(needs.function).copied().unwrap_or(0);
        let full = |held, limit| limit != 0 && held >= limit;
        if full(self.jobs.len(), self.limits.jobs_max) || full(held, needs.concurrency_max) {
            return Err(Ending::failed(FailureClass::Retryable, "worker busy"));
        }
        Ok(needs)
    }

    /// The stage of a job whose instance is there: whatever it needs is taken, or it stands in line for it.
    fn admit(&mut self, pair: &Pair, needs: Needs) -> Stage {
        match needs.gpu {
            Some(span) if !self.gpus.acquire(pair, span) => Stage::WaitingForGpu,
            _ => self.admit_to_thread(pair, needs),
        }
    }

    fn admit_to_thread(&mut self, pair: &Pair, needs: Needs) -> Stage {
        if needs.thread && !self.threads.acquire(pair) { Stage::WaitingForThread } else { Stage::Running }
    }

    /// Takes a job to the stage that `admit` gives it.
    fn advance(&mut self, pair: &Pair, admit: impl FnOnce(&mut Self, Needs) -> Stage, actions: &mut Vec<Action<J>>) {
        let Some(needs) = self.job(pair).map(|job| job.needs) else { return };
        let stage = admit(self, needs);
        if stage == Stage::Running {
            return self.start(pair, actions);
        }
        if let Some(job) = self.job(pair) {
            job.stage = stage;
            job.on_gpu = needs.gpu.is_some() && stage == Stage::WaitingForThread;
        }
    }

    fn start(&mut self, pair: &Pair, actions: &mut Vec<Action<J>>) {
        if let Some(job) = self.jobs.get_mut(&pair.request_id) {
            job.stage = Stage::Running;
            job.on_thread = job.needs.thread;
            job.on_gpu = false;
            actions.push(Action::Start(job.handle.clone()));
        }
    }

    fn finish(&mut self, pair: &Pair, ending: Ending, actions: &mut Vec<Action<J>>) {
        let Some(job) = self.jobs.remove(&pair.request_id) else { return };
        self.release(&job, pair);
        self.finished.remember(pair.clone());
        actions.push(Action::Finish { job: job.handle, ending });
        self.fill_gpus(actions);
    }

    /// Gives back what a job that left the table held. A running blocking handler keeps its thread, and its place
    /// among the jobs of its function, until [`JobTable::thread_ended`].
    fn release(&mut self, job: &Job<J>, pair: &Pair) {
        if !job.on_thread {
            self.uncount(job.needs.function);
        }
        let own = || Pair { request_id: pair.request_id.clone(), attempt: job.attempt };
        match job.stage {
            Stage::WaitingForThread => self.threads.withdraw(&own()),
            Stage::WaitingForGpu => self.gpus.withdraw(&own()),
            _ if job.wants_gpu => self.gpus.withdraw(&own()),
            _ => {}
        }
        if let (true, Some(span)) = (job.on_gpu, job.needs.gpu) {
            self.gpus.release(span);
        }
    }

    /// Lets everybody in who can have the accelerators that are free now.
    fn fill_gpus(&mut self, actions: &mut Vec<Action<J>>) {
        while self.gpus.has_waiting()
            && let Some(pair) = self.gpus.next()
        {
            if let Some(job) = self.job(&pair).filter(|job| job.wants_gpu) {
                job.wants_gpu = false;
                actions.push(Action::GrantGpu(job.handle.clone()));
                continue;
            }
            // Whoever leaves the table leaves the line, so the pair is held.
            self.advance(&pair, |table, needs| table.admit_to_thread(&pair, needs), actions);
        }
    }

    fn uncount(&mut self, function: usize) {
        if let Some(held) = self.per_function.get_mut(function) {
            *held = held.saturating_sub(1);
        }
    }

    fn job(&mut self, pair: &Pair) -> Option<&mut Job<J>> {
        self.jobs.get_mut(&pair.request_id).filter(|job| job.attempt == pair.attempt)
    }

    fn stage(&self, pair: &Pair) -> Option<Stage> {
        self.jobs.get(&pair.request_id).filter(|job| job.attempt == pair.attempt).map(|job| job.stage)
    }
}

fn exceeds(bytes: usize, max: usize) -> bool {
    max != 0 && bytes > max
}

#[cfg(test)]
mod tests;
