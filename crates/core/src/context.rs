//! What a handler knows about its request, and what it may tell while it runs.
//!
//! The worker fills [`ContextParts`] when the handler starts; the author sees a [`RequestContext`]. A context owns
//! no task and no queue: events go to the [`EventSink`] it was given and are dropped when nobody listens.

use std::{
    collections::BTreeMap,
    fmt, io,
    path::{Path, PathBuf},
    sync::{Arc, atomic::AtomicU64},
    time::{Duration, Instant, SystemTime},
};

use gen_worker_proto::{Attempt, FunctionName, Pair};
use serde_json::json;

use crate::{
    saves::{FileSaver, MediaNames, NoFiles},
    scratch::Scratch,
    worker_error::{Result, WorkerError},
};

mod cancel_flag;
mod event;
mod output_stream;
mod rng;
mod saving;

pub use cancel_flag::CancelFlag;
pub use event::{EventSink, Level, NoEvents, RequestEvent};
pub use output_stream::{OutputStream, StreamOptions};
pub use rng::Rng;

/// How media that a handler saves travels.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OutputMode {
    /// Uploaded, and named by a reference.
    #[default]
    Url,
    /// Inside the output, as far as it is small enough.
    Inline,
}

/// Where tensors of this request live.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Device {
    /// Host memory.
    #[default]
    Cpu,
    /// The accelerator with this ordinal, from 0.
    Cuda(u32),
}

/// An adapter that is active for one request.
#[derive(Clone, Debug, PartialEq)]
pub struct Lora {
    /// Ref of the adapter.
    pub reference: String,
    /// Scale, within [-4, 4].
    pub weight: f64,
    /// Its ref and what tells its bytes from others, as `ref@digest`: another digest is another adapter.
    pub id: String,
    /// Its safetensors file, which stays for as long as the request runs. Every tensor in it is one of an adapter.
    pub file: PathBuf,
}

/// When a handler has to be done: a point on both clocks, taken at the same moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deadline {
    /// On the clock that never jumps; what timers use.
    pub at: Instant,
    /// On the wall clock; what handlers show and pass on.
    pub wall: SystemTime,
}

impl Deadline {
    /// The moment `budget` from now; none when it is too far away to be represented.
    #[must_use]
    pub fn after(budget: Duration) -> Option<Self> {
        Some(Self { at: Instant::now().checked_add(budget)?, wall: SystemTime::now().checked_add(budget)? })
    }
}

/// Where the directory of a request has what its handler puts there.
const OWN_DIRECTORY: &str = "own";

/// Everything a [`RequestContext`] is made of.
pub struct ContextParts {
    /// The request and its attempt.
    pub pair: Pair,
    /// The function that runs.
    pub function: FunctionName,
    /// Slug of the owner on whose behalf it runs; empty when unknown.
    pub tenant: String,
    /// Who invoked it; empty when unknown.
    pub invoker_id: String,
    /// Slot to model ref.
    pub models: BTreeMap<String, String>,
    /// Slot to the adapters active for this request.
    pub loras: BTreeMap<String, Vec<Lora>>,
    /// What it is made from, on this machine, if its payload names a source.
    pub source: Option<PathBuf>,
    /// End of the handler's time, if it is limited.
    pub deadline: Option<Deadline>,
    /// Raised when the request is cancelled.
    pub cancel: CancelFlag,
    /// Where progress and logs go.
    pub events: Arc<dyn EventSink>,
    /// How saved media travels.
    pub output_mode: OutputMode,
    /// Where saved files go.
    pub saver: Arc<dyn FileSaver>,
    /// What it puts on disk.
    pub scratch: Scratch,
    /// Where tensors go.
    pub device: Device,
    /// Most bytes the summary of a stream may have: larger ones are cut, since its chunks told everything.
    pub summary_bytes_max: usize,
}

impl ContextParts {
    /// Parts for `pair` of `function`, with nothing else set: no deadline, no listener, nobody to cancel it.
    #[must_use]
    pub fn new(pair: Pair, function: FunctionName) -> Self {
        Self {
            pair,
            function,
            tenant: String::new(),
            invoker_id: String::new(),
            models: BTreeMap::new(),
            loras: BTreeMap::new(),
            source: None,
            deadline: None,
            cancel: CancelFlag::new(),
            events: Arc::new(NoEvents),
            output_mode: OutputMode::default(),
            saver: Arc::new(NoFiles),
            scratch: Scratch::nowhere(),
            device: Device::default(),
            summary_bytes_max: usize::MAX,
        }
    }
}

/// The first argument of every handler. Cheap to clone; clones are the same request.
#[derive(Clone)]
pub struct RequestContext(Arc<Inner>);

struct Inner {
    parts: ContextParts,
    media_names: MediaNames,
    /// Output streams opened so far.
    streams: AtomicU64,
}

impl RequestContext {
    /// Wraps the parts of one request.
    #[must_use]
    pub fn new(parts: ContextParts) -> Self {
        Self(Arc::new(Inner { parts, media_names: MediaNames::default(), streams: AtomicU64::new(0) }))
    }

    /// Id of the request.
    #[must_use]
    pub fn request_id(&self) -> &str {
        self.0.parts.pair.request_id.as_str()
    }

    /// Number of this dispatch of the request, from 1.
    #[must_use]
    pub fn attempt(&self) -> Attempt {
        self.0.parts.pair.attempt
    }

    /// Name of the function that runs.
    #[must_use]
    pub fn function(&self) -> &FunctionName {
        &self.0.parts.function
    }

    /// When the handler has to be done, on the wall clock.
    #[must_use]
    pub fn deadline(&self) -> Option<SystemTime> {
        self.0.parts.deadline.map(|deadline| deadline.wall)
    }

    /// Time left before the deadline, zero once it passed; none without one.
    #[must_use]
    pub fn time_remaining(&self) -> Option<Duration> {
        self.0.parts.deadline.map(|deadline| deadline.at.saturating_duration_since(Instant::now()))
    }

    /// Whether the request was cancelled. Never turns back.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.0.parts.cancel.is_set()
    }

    /// Completes once the request is cancelled.
    ///
    /// # Cancel safety
    /// Holds no state; may be dropped and awaited again.
    pub async fn cancelled(&self) {
        self.0.parts.cancel.wait().await;
    }

    /// Ends the handler, through `?`, when the request was cancelled.
    ///
    /// # Errors
    /// [`WorkerError::canceled`].
    pub fn check_cancelled(&self) -> Result<()> {
        if self.is_cancelled() { Err(WorkerError::canceled()) } else { Ok(()) }
    }

    /// Waits, but not longer than the request wants to live.
    ///
    /// # Errors
    /// [`WorkerError::canceled`] as soon as the request is cancelled.
    ///
    /// # Cancel safety
    /// Holds no state but the time that has passed.
    pub async fn sleep(&self, duration: Duration) -> Result<()> {
        tokio::select! {
            biased;
            () = self.cancelled() => Err(WorkerError::canceled()),
            () = tokio::time::sleep(duration) => Ok(()),
        }
    }

    /// Tells how far the handler is, best effort. `fraction` is usually within 0 to 1 and is passed on as it is.
    pub fn progress(&self, fraction: f64, stage: Option<&str>) {
        let payload = match stage {
            Some(stage) => json!({"progress": fraction, "stage": stage}),
            None => json!({"progress": fraction}),
        };
        self.0.parts.events.emit(RequestEvent::now("request.progress", payload));
    }

    /// Sends a line to whoever watches the request, best effort.
    pub fn log(&self, level: Level, message: impl Into<String>) {
        let message: String = message.into();
        self.0
            .parts
            .events
            .emit(RequestEvent::now("request.log", json!({"message": message, "level": level.as_str()})));
    }

    /// Slot to model ref.
    #[must_use]
    pub fn models(&self) -> &BTreeMap<String, String> {
        &self.0.parts.models
    }

    /// Slot to the adapters active for this request.
    #[must_use]
    pub fn loras(&self) -> &BTreeMap<String, Vec<Lora>> {
        &self.0.parts.loras
    }

    /// Where the source is that the payload of a conversion, a dataset or a training names as `{"source": {"ref": …}}`: the
    /// directory of its files, which stay as they are until the request is over, or its one file. None where the payload names
    /// none, for inference, and in a local `run`, which does not bring sources.
    #[must_use]
    pub fn source_path(&self) -> Option<&Path> {
        self.0.parts.source.as_deref()
    }

    /// Slug of the owner on whose behalf the request runs; empty when unknown.
    #[must_use]
    pub fn owner(&self) -> &str {
        &self.0.parts.tenant
    }

    /// Who invoked it; empty when unknown.
    #[must_use]
    pub fn invoker_id(&self) -> &str {
        &self.0.parts.invoker_id
    }

    /// How media that the handler saves travels.
    #[must_use]
    pub fn output_mode(&self) -> OutputMode {
        self.0.parts.output_mode
    }

    /// Where tensors go.
    #[must_use]
    pub fn device(&self) -> Device {
        self.0.parts.device
    }

    /// A directory for what the request puts on disk: its own, the same each time, and removed when the request is over,
    /// however it ends. Quick, but blocks.
    ///
    /// # Errors
    /// When there is no place for one.
    pub fn scratch(&self) -> Result<PathBuf> {
        let made = self.0.parts.scratch.directory_blocking(OWN_DIRECTORY);
        made.map_err(|error: io::Error| {
            WorkerError::resource(format!("there is no directory for the request: {error}")).with_source(error)
        })
    }

    /// What it was made of.
    pub(crate) fn parts(&self) -> &ContextParts {
        &self.0.parts
    }

    /// Most bytes the summary of a stream may have.
    pub(crate) fn summary_bytes_max(&self) -> usize {
        self.0.parts.summary_bytes_max
    }

    /// Random numbers: the same for the same seed, on every machine. Without a seed one is drawn from the
    /// operating system; [`Rng::seed`] tells which, so that the run can be repeated.
    #[must_use]
    pub fn rng(&self, seed: Option<u64>) -> Rng {
        match seed {
            Some(seed) => Rng::new(seed),
            None => Rng::from_entropy(),
        }
    }
}

impl fmt::Debug for RequestContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RequestContext")
            .field("pair", &self.0.parts.pair)
            .field("function", &self.0.parts.function)
            .field("cancelled", &self.is_cancelled())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
