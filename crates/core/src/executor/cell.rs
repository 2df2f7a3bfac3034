//! One job as the executor sees it: its dispatch, its handles, its clock. Shared by the event loop, the handler's
//! context and the handler's task; the job machine alone decides when it is over.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use gen_worker_hub::BearerToken;
use gen_worker_proto::{Pair, pb};
use parking_lot::Mutex;
use tokio::{sync::oneshot, task::AbortHandle, time::Instant};
use tracing::warn;

use super::{
    gpu_lease::GpuPermit,
    inputs::Brought,
    metrics::{Clock, PeakMemory},
    upload::OutputUpload,
};
use crate::{
    Instance,
    adapters::Adapters,
    context::{CancelFlag, EventSink, Lora, RequestEvent},
    job::GpuSpan,
    job_source::JobSource,
    ledger::ColdStart,
    outbox::{Gate, SharedOutbox},
    peaks::{LAST_LOOK_MAX, Peaks},
    saves::SaveContent,
    scratch::Scratch,
};

/// Largest event: a line for people or a few numbers. What is larger belongs into the output.
pub(crate) const EVENT_BYTES_MAX: usize = 64 * 1024;

/// Events held during one poll of a stream; the oldest go first, as in the send queue.
const EVENTS_HELD_MAX: usize = 256;

const EVENT_CONTENT_TYPE: &str = "application/x-request-event+json";

pub(crate) struct JobCell {
    pair: Pair,
    /// Number of its function in the roster.
    function: usize,
    outbox: SharedOutbox,
    gate: Gate,
    cancel: CancelFlag,
    thread: AtomicBool,
    /// Events told while items of a stream are gathered: they keep their place between the chunks.
    told: Mutex<Option<VecDeque<(&'static str, Bytes)>>>,
    /// What it puts on disk.
    scratch: Scratch,
    /// Its payload may name files or a source that have to be fetched.
    files: bool,
    state: Mutex<CellState>,
}

struct CellState {
    /// Taken when the handler starts.
    run: Option<pb::RunJob>,
    instance: Option<Instance>,
    adapters: Adapters,
    /// What it is made from; stays for as long as it is held.
    source: Option<JobSource>,
    /// Accelerators it runs on.
    gpu: Option<GpuSpan>,
    clock: Clock,
    time_limit: Option<Duration>,
    task: Option<AbortHandle>,
    /// Renews its token.
    renewal: Option<AbortHandle>,
    returned: Option<Instant>,
    /// What is seen of its memory, if anybody looks.
    peaks: Option<Arc<Peaks>>,
    /// Its handler waits for its accelerators.
    gpu_grant: Option<oneshot::Sender<GpuPermit>>,
    /// Kept for the upload of the output.
    capability_token: String,
    tenant: String,
}

impl JobCell {
    pub(crate) fn new(
        pair: Pair,
        function: usize,
        run: pb::RunJob,
        instance: Option<Instance>,
        gpu: Option<GpuSpan>,
        outbox: SharedOutbox,
        received: Instant,
    ) -> Self {
        let clock = Clock { received, started: None, ended: None, others: 0, cold: ColdStart::default() };
        Self {
            pair,
            function,
            outbox,
            gate: Gate::default(),
            cancel: CancelFlag::new(),
            thread: AtomicBool::new(false),
            told: Mutex::new(None),
            scratch: Scratch::nowhere(),
            files: false,
            state: Mutex::new(CellState {
                run: Some(run),
                instance,
                adapters: Adapters::default(),
                source: None,
                gpu,
                clock,
                time_limit: None,
                task: None,
                renewal: None,
                returned: None,
                peaks: None,
                gpu_grant: None,
                capability_token: String::new(),
                tenant: String::new(),
            }),
        }
    }

    /// The same with a directory for what it puts on disk; with `files`, its payload may name what comes first.
    pub(crate) fn with_files(self, scratch: Scratch, files: bool) -> Self {
        Self { scratch, files, ..self }
    }

    /// Whether its payload may name files or a source that have to be fetched.
    pub(crate) fn names_files(&self) -> bool {
        self.files
    }

    pub(crate) fn pair(&self) -> &Pair {
        &self.pair
    }

    pub(crate) fn scratch(&self) -> &Scratch {
        &self.scratch
    }

    /// Its payload, while its handler has not started.
    pub(super) fn payload(&self) -> Bytes {
        self.state.lock().run.as_ref().map(|run| run.input_payload.clone()).unwrap_or_default()
    }

    /// What its payload names is here.
    pub(crate) fn brought(&self, brought: Brought) {
        let Brought { payload, source } = brought;
        let mut state = self.state.lock();
        state.clock.cold.inputs = state.clock.received.elapsed();
        state.source = source;
        if let Some(run) = &mut state.run {
            run.input_payload = payload;
        }
    }

    /// Where that is what it is made from.
    pub(super) fn source(&self) -> Option<PathBuf> {
        self.state.lock().source.as_ref().map(JobSource::path)
    }

    pub(crate) fn function(&self) -> usize {
        self.function
    }

    /// Accelerators it runs on.
    pub(crate) fn gpu(&self) -> Option<GpuSpan> {
        self.state.lock().gpu
    }

    /// Its handler waits for its accelerators; without a grant for nothing.
    pub(crate) fn waits_for_gpu(&self, grant: Option<oneshot::Sender<GpuPermit>>) {
        self.state.lock().gpu_grant = grant;
    }

    pub(super) fn grant_gpu(&self, permit: GpuPermit) {
        let grant = self.state.lock().gpu_grant.take();
        // What is not taken drops, and is free.
        drop(grant.map(|grant| grant.send(permit)));
    }

    pub(crate) fn gate(&self) -> &Gate {
        &self.gate
    }

    pub(crate) fn outbox(&self) -> &SharedOutbox {
        &self.outbox
    }

    pub(crate) fn cancel_flag(&self) -> &CancelFlag {
        &self.cancel
    }

    /// `others` jobs were held when this one was accepted.
    pub(crate) fn accepted(&self, others: usize) {
        self.state.lock().clock.others = others;
    }

    /// Hands the job the instance it runs on, and what that took. A job on accelerators runs where that is.
    pub(crate) fn lend(&self, instance: Instance, cold: ColdStart) {
        let mut state = self.state.lock();
        state.gpu = state.gpu.map(|span| span.at(instance.slots().device()));
        state.instance = Some(instance);
        state.clock.cold = ColdStart { inputs: state.clock.cold.inputs, ..cold };
    }

    /// The moments of its life so far.
    pub(super) fn times(&self) -> Clock {
        self.state.lock().clock
    }

    /// What it was told its models are, by slot and by ref.
    pub(super) fn models(&self) -> (Vec<pb::ModelBinding>, HashMap<String, pb::Snapshot>) {
        let state = self.state.lock();
        let told = |run: &pb::RunJob| (run.models.clone(), run.snapshots.clone().into_iter().collect());
        state.run.as_ref().map(told).unwrap_or_default()
    }

    /// Its adapters are here: they stay for as long as it is held.
    pub(crate) fn adapt(&self, adapters: Adapters) {
        self.state.lock().adapters = adapters;
    }

    /// What its handler sees of them.
    pub(super) fn loras(&self) -> BTreeMap<String, Vec<Lora>> {
        self.state.lock().adapters.loras().clone()
    }

    /// The handler starts now: gives out the dispatch, once, and the instance. `default_limit` is the time it has
    /// when the dispatch does not say.
    pub(super) fn begin(&self, default_limit: Option<Duration>) -> Option<(pb::RunJob, Option<Instance>)> {
        let mut state = self.state.lock();
        let mut run = state.run.take()?;
        state.clock.started = Some(Instant::now());
        state.time_limit = match u64::try_from(run.timeout_ms) {
            Ok(millis) if millis > 0 => Some(Duration::from_millis(millis)),
            _ => default_limit,
        };
        state.capability_token = std::mem::take(&mut run.capability_token);
        state.tenant.clone_from(&run.tenant);
        Some((run, state.instance.take()))
    }

    /// Time the handler has, once it started.
    pub(crate) fn time_limit(&self) -> Option<Duration> {
        self.state.lock().time_limit
    }

    /// When the handler's time is up, if it started and has a limit.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        let state = self.state.lock();
        state.clock.started?.checked_add(state.time_limit?)
    }

    pub(crate) fn ended(&self, at: Instant) {
        self.state.lock().clock.ended = Some(at);
    }

    pub(super) fn metrics(&self, memory: &mut PeakMemory) -> Option<pb::JobMetrics> {
        let (clock, peaks) = {
            let state = self.state.lock();
            (state.clock, state.peaks.clone())
        };
        clock.metrics(memory, peaks.as_deref())
    }

    /// Where what is seen of its memory is noted from now on.
    pub(super) fn measured(&self) -> Arc<Peaks> {
        self.state.lock().peaks.get_or_insert_default().clone()
    }

    /// What interrupts it from now on.
    pub(super) fn runs_as(&self, task: AbortHandle) {
        self.state.lock().task = Some(task);
    }

    pub(crate) fn thread_started(&self) {
        self.thread.store(true, Ordering::Release);
    }

    /// Who watches the thread may hold the job for much longer than it needs what keeps its models from leaving.
    pub(super) fn thread_ended(&self) {
        self.thread.store(false, Ordering::Release);
        let mut state = self.state.lock();
        (state.adapters, state.source) = (Adapters::default(), None);
    }

    /// Its handler has returned; only the last look at its memory is left.
    pub(super) fn returning(&self) {
        self.state.lock().returned = Some(Instant::now());
    }

    /// Whether its result is on its way: then it is too late for a cancel or a deadline. Not for longer than the look
    /// may take, twice over for whoever is slow to hear of it.
    pub(crate) fn is_returning(&self) -> bool {
        self.state.lock().returned.is_some_and(|at| at.elapsed() < LAST_LOOK_MAX * 2)
    }

    /// Whether a blocking handler still runs.
    pub(crate) fn occupies_thread(&self) -> bool {
        self.thread.load(Ordering::Acquire)
    }

    /// Tells the handler, and drops its work at its next await point.
    pub(crate) fn interrupt(&self) {
        self.cancel.set();
        self.needs_no_token();
        if let Some(task) = self.state.lock().task.take() {
            task.abort();
        }
    }

    /// From here on events are held for [`JobCell::take_events`].
    pub(super) fn hold_events(&self) {
        *self.told.lock() = Some(VecDeque::new());
    }

    /// Moves the events told since the last call behind what is in `into`.
    pub(super) fn take_events(&self, into: &mut VecDeque<(&'static str, Bytes)>) {
        if let Some(told) = &mut *self.told.lock() {
            into.append(told);
        }
    }

    /// Events go out as they come again; what is still held goes behind what is in `into`.
    pub(super) fn release_events(&self, into: &mut VecDeque<(&'static str, Bytes)>) {
        if let Some(mut told) = self.told.lock().take() {
            into.append(&mut told);
        }
    }

    /// A file that is stored in its name.
    pub(super) fn file_upload(
        &self,
        name: String,
        content: SaveContent,
        mime_type: Option<String>,
        file_base_url: String,
    ) -> OutputUpload {
        let state = self.state.lock();
        OutputUpload {
            pair: self.pair.clone(),
            file_base_url,
            capability_token: state.capability_token.clone(),
            tenant: state.tenant.clone(),
            name,
            content,
            mime_type,
            create: false,
        }
    }

    /// What renews its token from now on.
    pub(super) fn renewed_by(&self, renewal: AbortHandle) {
        self.state.lock().renewal = Some(renewal);
    }

    /// Its bearer for the file API is another one now.
    pub(super) fn renewed(&self, token: &BearerToken) {
        token.reveal().clone_into(&mut self.state.lock().capability_token);
    }

    /// It is over.
    pub(super) fn needs_no_token(&self) {
        if let Some(renewal) = self.state.lock().renewal.take() {
            renewal.abort();
        }
    }

    /// Its bearer for the file API.
    pub(super) fn capability_token(&self) -> String {
        self.state.lock().capability_token.clone()
    }
}

impl EventSink for JobCell {
    /// A frame of its own in the pair's sequence; dropped once the result is queued.
    fn emit(&self, event: RequestEvent) {
        let body = |payload: &serde_json::Value| {
            let body = serde_json::json!({
                "request_id": self.pair.request_id.as_str(),
                "type": event.kind,
                "payload": payload,
                "timestamp": event.timestamp,
            });
            Bytes::from(body.to_string())
        };
        let mut data = body(&event.payload);
        if data.len() > EVENT_BYTES_MAX {
            warn!(pair = %self.pair, kind = %event.kind, bytes = data.len(), "event is too large and was sent without its content");
            data = body(&serde_json::json!({ "truncated": true, "bytes": data.len() }));
        }
        if let Some(told) = &mut *self.told.lock() {
            if told.len() >= EVENTS_HELD_MAX {
                told.pop_front();
            }
            return told.push_back((EVENT_CONTENT_TYPE, data));
        }
        self.outbox.emit(&self.gate, &self.pair, EVENT_CONTENT_TYPE, data);
    }
}

impl std::fmt::Debug for JobCell {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("JobCell").field("pair", &self.pair).finish_non_exhaustive()
    }
}

/// Jobs are compared by identity.
impl PartialEq for JobCell {
    fn eq(&self, other: &Self) -> bool {
        std::ptr::eq(self, other)
    }
}
