//! Performs what the job machine decides: contexts, instances, handlers, uploads, results. Composition of its parts.
//!
//! An `async` handler is polled once on the event loop when its function has proven quick ([`InlinePolicy`]), and
//! becomes a task when it is not done by then; streams and everything unproven are tasks from the start; a blocking
//! handler gets a thread. All of them end with one [`JobEvent`], except where the job machine dropped them.

mod byte_budget;
mod cell;
mod gpu_lease;
mod handler;
mod inline;
mod inputs;
mod job_files;
mod metrics;
mod renewal;
mod reporting;
mod upload;

use std::{
    panic::AssertUnwindSafe,
    sync::{Arc, Weak},
    time::Duration,
};

use bytes::Bytes;
use futures::FutureExt;
use gen_worker_proto::{FunctionName, pb};
use gen_worker_store::UploadFailure;
use gen_worker_tasks::Scope;
use tokio::{
    sync::{mpsc, oneshot},
    time::Instant,
};

use crate::{
    Inputs, Instance, RequestContext, WorkerError,
    adapters::Adapters,
    context::{ContextParts, Deadline, Device, OutputMode},
    function::Function,
    job::{Ending, NotStored, Outcome},
    ledger::ColdStart,
    loader::Loader,
    memory::MemoryProbe,
    outbox::{JobEnd, SharedOutbox},
    peaks::VramWatch,
    sanitize::sanitize,
    saves::{FileSaver, SaveContent},
};

pub(crate) use cell::{EVENT_BYTES_MAX, JobCell};
use gpu_lease::GpuLease;
pub(crate) use gpu_lease::{GpuPermit, GpusFreed};
use handler::Call;
pub(crate) use inline::InlinePolicy;
pub(crate) use inputs::{Brought, concerns};
use job_files::JobFiles;
use metrics::PeakMemory;
pub(crate) use renewal::Renewals;
pub use renewal::{NotRenewed, Renewal, TokenRenewer};
pub(crate) use reporting::Reporting;
pub(crate) use upload::Uploads;
pub use upload::{OutputUpload, OutputUploader, UploadError};

/// Largest payload that the event loop decodes or searches, in bytes. That runs at some hundred MB/s, so it is a tenth of
/// a millisecond at most.
const INLINE_PAYLOAD_BYTES_MAX: usize = 32 * 1024;

/// What happened to a job outside the event loop.
pub(crate) enum JobEvent {
    /// What its payload names is here, or cannot be had.
    Brought { job: Arc<JobCell>, result: Result<Brought, WorkerError> },
    /// The instance of a function, by its number, is there or cannot be had; for the job that asked, if it still waits.
    Prepared {
        job: Weak<JobCell>,
        function: usize,
        result: Result<(Instance, ColdStart), WorkerError>,
        /// Its adapters, which say nothing of the function.
        adapters: Result<Adapters, WorkerError>,
    },
    /// Its handler ended.
    Returned { job: Arc<JobCell>, outcome: Outcome, ended: Instant, first_poll: Option<FirstPoll> },
    /// The thread of its blocking handler ended.
    ThreadEnded { job: Arc<JobCell>, outcome: Outcome, ended: Instant },
    /// Its handler has saved its files and wants its accelerators back. Nothing is granted when `grant` drops.
    GpuWanted { job: Arc<JobCell>, grant: oneshot::Sender<GpuPermit> },
    /// Its output is stored, or could not be.
    Uploaded { job: Arc<JobCell>, result: Result<String, UploadError> },
}

/// What the first poll of a handler showed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FirstPoll {
    pub(crate) took: Duration,
    pub(crate) finished: bool,
}

/// How starting a handler went.
pub(crate) enum Started {
    /// It ended at once.
    Ended { outcome: Outcome, ended: Instant, first_poll: FirstPoll },
    /// An event will tell.
    Running,
}

/// What moves files of jobs.
pub(crate) struct FileServices {
    pub(crate) uploads: Uploads,
    pub(crate) renewals: Renewals,
    pub(crate) inputs: Inputs,
}

pub(crate) struct Executor {
    scope: Arc<Scope>,
    events: mpsc::Sender<JobEvent>,
    outbox: SharedOutbox,
    loader: Arc<Loader>,
    uploads: Arc<Uploads>,
    renewals: Arc<Renewals>,
    inputs: Inputs,
    memory: PeakMemory,
    /// Tells of accelerators; none where there are none.
    vram: Option<Arc<dyn MemoryProbe>>,
    gpus_freed: GpusFreed,
    reporting: Reporting,
}

impl Executor {
    pub(crate) fn new(
        scope: Scope,
        events: mpsc::Sender<JobEvent>,
        outbox: SharedOutbox,
        loader: Arc<Loader>,
        files: FileServices,
        reporting: Reporting,
        gpus_freed: GpusFreed,
    ) -> Self {
        let (memory, vram) = (PeakMemory::default(), loader.accelerators());
        let FileServices { uploads, renewals, inputs } = files;
        let (scope, uploads, renewals) = (Arc::new(scope), Arc::new(uploads), Arc::new(renewals));
        Self { scope, events, outbox, loader, uploads, renewals, inputs, memory, vram, gpus_freed, reporting }
    }

    /// Gets the instance of the job's function. What comes of it is told even when the job has ended meanwhile: the
    /// set-up goes on, and its function can run here from then on.
    pub(crate) fn prepare(&self, job: &Arc<JobCell>, function: &Function) {
        let Some(cell) = function.instance().cloned() else { return };
        let (loader, events) = (self.loader.clone(), self.events.clone());
        let (models, snapshots) = job.models();
        let device = job.gpu().map_or(0, |span| span.devices().start);
        let (job, function) = (Arc::downgrade(job), job.function());
        drop(self.scope.spawn_bare(async move {
            let adapters = loader.bring_adapters(&models, &snapshots);
            let (result, adapters) = futures::join!(loader.load(&cell, &snapshots, device), adapters);
            // The receiver goes away only with the worker.
            drop(events.send(JobEvent::Prepared { job, function, result, adapters }).await);
        }));
    }

    /// Starts the handler. `inline` allows to poll it here first.
    pub(crate) fn start(&self, job: &Arc<JobCell>, function: &Arc<Function>, inline: bool) -> Started {
        let Some((run, instance)) = job.begin(function.timeout()) else { return Started::Running };
        let payload = run.input_payload.clone();
        // What runs on an accelerator is never done at once, and its permit goes with its task.
        let lease = job.gpu().map(|span| Arc::new(GpuLease::new(span, &self.gpus_freed)));
        let watch = self.measure(job, instance.as_ref(), lease.as_ref());
        let inline = inline && lease.is_none() && payload.len() <= INLINE_PAYLOAD_BYTES_MAX && !function.is_streaming();
        let there = instance.as_ref().map_or(Device::Cpu, |instance| instance.slots().device());
        let device = job.gpu().map_or(Device::Cpu, |span| span.device(there));
        let saver = Arc::new(JobFiles::new(
            job.clone(),
            self.uploads.clone(),
            self.scope.clone(),
            lease.as_ref(),
            self.events.clone(),
        ));
        let summary_bytes_max = self.uploads.output_bytes_max();
        let context = context(job, function, run, ContextPlace { device, saver, summary_bytes_max });
        let call = Call { job: job.clone(), function: function.clone(), context, payload, instance };
        if function.is_blocking() {
            self.start_thread(call, lease, watch);
            return Started::Running;
        }
        if !inline {
            self.start_task(call, lease, watch);
            return Started::Running;
        }
        match call.poll_once() {
            Ok((outcome, first_poll)) => Started::Ended { outcome, ended: Instant::now(), first_poll },
            Err((running, first_poll)) => {
                let (events, cell) = (self.events.clone(), job.clone());
                let task = self.scope.spawn_bare(async move {
                    let outcome = running.await;
                    let (ended, first_poll) = (Instant::now(), Some(first_poll));
                    drop(events.send(JobEvent::Returned { job: cell, outcome, ended, first_poll }).await);
                });
                job.runs_as(task.abort_handle());
                Started::Running
            }
        }
    }

    /// Has whatever the job uses besides this process's memory noted: what runs elsewhere tells by itself, and
    /// accelerators are watched while it runs on them.
    fn measure(&self, job: &JobCell, instance: Option<&Instance>, lease: Option<&Arc<GpuLease>>) -> Option<VramWatch> {
        if let Some(calls) = instance.and_then(Instance::remote_calls) {
            calls.measure(job.measured());
            if let Some(lease) = lease {
                calls.hold(lease.clone());
            }
            return None;
        }
        let (memory, span) = (self.vram.as_ref()?, job.gpu()?);
        Some(VramWatch::start(memory.clone(), span.devices(), job.measured()))
    }

    fn start_task(&self, call: Call, lease: Option<Arc<GpuLease>>, watch: Option<VramWatch>) {
        let (events, job) = (self.events.clone(), call.job.clone());
        let task = self.scope.spawn_bare({
            let job = job.clone();
            async move {
                let lease = lease;
                let (outcome, first_poll) = call.run().await;
                let (ended, first_poll) = (Instant::now(), Some(first_poll));
                if let Some(watch) = watch {
                    job.returning();
                    watch.look().await;
                }
                drop(lease);
                drop(events.send(JobEvent::Returned { job, outcome, ended, first_poll }).await);
            }
        });
        job.runs_as(task.abort_handle());
    }

    fn start_thread(&self, call: Call, lease: Option<Arc<GpuLease>>, watch: Option<VramWatch>) {
        let (events, job) = (self.events.clone(), call.job.clone());
        job.thread_started();
        drop(self.scope.spawn_blocking(move || {
            let outcome = call.run_blocking();
            let ended = Instant::now();
            if let Some(watch) = watch {
                job.returning();
                watch.look_blocking();
            }
            drop(lease);
            job.thread_ended();
            drop(events.blocking_send(JobEvent::ThreadEnded { job, outcome, ended }));
        }));
    }

    /// The file API is there from now on.
    pub(crate) fn store_files_at(&self, file_base_url: &str) {
        self.uploads.move_to(file_base_url);
    }

    /// The worker has another token of its own from now on.
    pub(crate) fn renew_tokens_as(&self, worker_token: &str) {
        self.renewals.ask_as(worker_token);
    }

    /// Keeps the token of a job good that was not over at once.
    pub(crate) fn keep_token(&self, job: &Arc<JobCell>) {
        if let Some(renewal) = self.renewals.of(job, &self.uploads) {
            job.renewed_by(self.scope.spawn_bare(renewal).abort_handle());
        }
    }

    /// The accelerators that the job waited for are its own again.
    pub(crate) fn grant_gpu(&self, job: &JobCell) {
        if let Some(span) = job.gpu() {
            // Who does not wait for it any more gives it back by not taking it.
            job.grant_gpu(GpuPermit::new(span, &self.gpus_freed));
        }
    }

    /// Stores an output that is too large for the stream.
    ///
    /// # Errors
    /// When nothing would store it. Nothing was begun then.
    pub(crate) fn upload(&self, job: &Arc<JobCell>, output: Bytes) -> Result<(), NotStored> {
        let uploader = self.uploads.of(output.len())?;
        let name = format!("results/{}.msgpack", job.pair().request_id);
        let upload = job.file_upload(name, SaveContent::Bytes(output), None, self.uploads.file_base_url());
        let (events, cell) = (self.events.clone(), job.clone());
        let task = self.scope.spawn_bare(async move {
            let pair = upload.pair.clone();
            let stored = AssertUnwindSafe(async move { uploader.upload(upload).await }).catch_unwind().await;
            let panicked = |_| {
                let source = "the uploader panicked".into();
                Err(UploadError { pair, failure: UploadFailure::Terminal, source })
            };
            let result = stored.unwrap_or_else(panicked).map(|file| file.reference);
            drop(events.send(JobEvent::Uploaded { job: cell, result }).await);
        });
        job.runs_as(task.abort_handle());
        Ok(())
    }

    /// Queues the result of a job that left the table.
    pub(crate) fn finish(&mut self, job: &JobCell, function: Option<&FunctionName>, ending: Ending) {
        job.needs_no_token();
        job.scratch().remove();
        let Ending { status, output, message } = ending;
        let message = if message.is_empty() { message } else { sanitize(&message) };
        let metrics = job.metrics(&mut self.memory);
        let mut end = JobEnd { pair: job.pair().clone(), status, output, message, metrics, record: None };
        self.reporting.ended(job, function, &mut end);
        self.outbox.finish(job.gate(), end);
    }
}

/// What the handler sees of this worker.
struct ContextPlace {
    device: Device,
    saver: Arc<dyn FileSaver>,
    summary_bytes_max: usize,
}

/// What the handler sees of its dispatch.
fn context(job: &Arc<JobCell>, function: &Function, run: pb::RunJob, place: ContextPlace) -> RequestContext {
    let ContextPlace { device, saver, summary_bytes_max } = place;
    RequestContext::new(ContextParts {
        tenant: run.tenant,
        invoker_id: run.invoker_id,
        models: run.models.into_iter().map(|binding| (binding.slot, binding.r#ref)).collect(),
        loras: job.loras(),
        source: job.source(),
        deadline: job.time_limit().and_then(Deadline::after),
        cancel: job.cancel_flag().clone(),
        events: job.clone(),
        output_mode: if run.output_mode == i32::from(pb::OutputMode::Inline) {
            OutputMode::Inline
        } else {
            OutputMode::Url
        },
        saver,
        scratch: job.scratch().clone(),
        summary_bytes_max,
        device,
        pair: job.pair().clone(),
        function: function.name().clone(),
    })
}

#[cfg(test)]
mod tests;
