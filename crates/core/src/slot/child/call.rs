//! One handler in the child, and the way of what it sends. Owns the handler's task.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicU64, Ordering},
};

use bytes::Bytes;
use futures::{StreamExt as _, future::BoxFuture, stream::BoxStream};
use gen_worker_proto::limits::MESSAGE_BYTES_MAX;
use gen_worker_tasks::Scope;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, mpsc},
    task::JoinHandle,
};

use super::{
    Outcome,
    saves::{Saves, pieces},
    too_large,
};
use crate::{
    context::{CancelFlag, EventSink, RequestEvent},
    function::{Call, Frame as Item, Function, Invocation},
    job::DEVICES_MAX,
    memory::MemoryProbe,
    peaks::{Peaks, VramWatch},
    saves::{Asset, FileSaver, Save},
    slot::{
        frame::{Chunk, Frame},
        translate,
    },
    worker_error::{Result, WorkerError},
};

/// Chunks on their way at once. They may be as large as a message; one is written while the next is made.
const CHUNKS_MAX: usize = 2;

/// A frame on its way to the loop.
pub(super) struct Outgoing {
    pub(super) frame: Frame,
    call: u64,
    _room: Option<OwnedSemaphorePermit>,
}

/// Where a call sends its frames.
#[derive(Clone)]
pub(super) struct Outlet {
    frames: mpsc::Sender<Outgoing>,
    room: Arc<Semaphore>,
    current: Arc<AtomicU64>,
    saves: Arc<Saves>,
    call: u64,
}

/// A handler that runs.
pub(super) struct Running {
    pub(super) task: JoinHandle<Outcome>,
    /// What was seen of its memory.
    pub(super) peaks: Arc<Peaks>,
    /// Its files that are on their way.
    pub(super) saves: Arc<Saves>,
    cancel: CancelFlag,
    blocking: bool,
    /// It has returned; only the look at its memory is left.
    ended: Arc<AtomicBool>,
}

impl Outlet {
    pub(super) fn new(frames: mpsc::Sender<Outgoing>) -> Self {
        Self {
            frames,
            room: Arc::new(Semaphore::new(CHUNKS_MAX)),
            current: Arc::default(),
            saves: Arc::default(),
            call: 0,
        }
    }

    /// The outlet of the next call. Those before it lead nowhere from now on: a task that a handler left behind
    /// must not speak in the name of a later request.
    pub(super) fn next_call(&self) -> Self {
        let call = self.current.fetch_add(1, Ordering::Relaxed) + 1;
        Self { call, saves: Arc::default(), ..self.clone() }
    }

    pub(super) fn is_current(&self, outgoing: &Outgoing) -> bool {
        outgoing.call == self.current.load(Ordering::Relaxed)
    }

    async fn chunk(&self, content_type: &'static str, data: Bytes) -> Result<()> {
        if data.len() > MESSAGE_BYTES_MAX {
            return Err(too_large());
        }
        self.send(Frame::Chunk(Chunk { content_type: content_type.to_owned(), data })).await
    }

    /// Sends something large.
    async fn send(&self, frame: Frame) -> Result<()> {
        // Neither is ever closed while a call runs.
        let room = self.room.clone().acquire_owned().await.map_err(|_| WorkerError::canceled())?;
        let outgoing = Outgoing { frame, call: self.call, _room: Some(room) };
        self.frames.send(outgoing).await.map_err(|_| WorkerError::canceled())
    }
}

impl EventSink for Outlet {
    fn emit(&self, event: RequestEvent) {
        let frame = Frame::Event(translate::event(&event));
        // Best effort: a handler is not held up by what it tells.
        drop(self.frames.try_send(Outgoing { frame, call: self.call, _room: None }));
    }
}

impl FileSaver for Outlet {
    fn save(&self, save: Save) -> BoxFuture<'static, Result<Asset>> {
        let outlet = self.clone();
        Box::pin(async move {
            let waiting = outlet.saves.expect().await?;
            for frame in pieces(waiting.id(), save)? {
                outlet.send(Frame::Save(frame)).await?;
            }
            waiting.answer().await
        })
    }
}

impl Running {
    pub(super) fn start(
        scope: &Scope,
        function: Arc<Function>,
        call: Call,
        outlet: Outlet,
        cancel: CancelFlag,
        memory: Option<Arc<dyn MemoryProbe>>,
    ) -> Self {
        let saves = outlet.saves.clone();
        let (blocking, peaks, ended) = (function.blocking, Arc::<Peaks>::default(), Arc::<AtomicBool>::default());
        // Whichever of them the call uses counts. So does what other processes have there: an upper bound.
        let watch = memory.map(|memory| VramWatch::start(memory, 0..DEVICES_MAX, peaks.clone()));
        let task = if blocking {
            scope.spawn_blocking(move || {
                let outcome = run_blocking(&function, call);
                if let Some(watch) = watch {
                    watch.look_blocking();
                }
                outcome
            })
        } else {
            let ended = ended.clone();
            scope.spawn_bare(async move {
                let outcome = run(function, call, outlet).await;
                ended.store(true, Ordering::Release);
                if let Some(watch) = watch {
                    watch.look().await;
                }
                outcome
            })
        };
        Self { task, peaks, saves, cancel, blocking, ended }
    }

    /// Tells the handler to end, and drops it where it waits if it can wait.
    pub(super) fn interrupt(&self) {
        self.cancel.set();
        if !self.blocking && !self.ended.load(Ordering::Acquire) {
            self.task.abort();
        }
    }
}

fn run_blocking(function: &Function, call: Call) -> Outcome {
    match function.start(call)? {
        Invocation::Blocking(work) => work().map(Some),
        Invocation::Async(_) | Invocation::Stream(_) => Err(wrong_shape()),
    }
}

async fn run(function: Arc<Function>, call: Call, outlet: Outlet) -> Outcome {
    match function.start(call)? {
        Invocation::Async(work) => work.await.map(Some),
        Invocation::Stream(items) => stream(items, &outlet).await,
        Invocation::Blocking(_) => Err(wrong_shape()),
    }
}

async fn stream(mut items: BoxStream<'static, Result<Item>>, outlet: &Outlet) -> Outcome {
    while let Some(item) = items.next().await {
        match item? {
            Item::Chunk { content_type, data } => outlet.chunk(content_type, data).await?,
            Item::End(summary) => return Ok(summary),
        }
    }
    Err(WorkerError::fatal("StreamContract", "the stream ended without its terminal item"))
}

fn wrong_shape() -> WorkerError {
    WorkerError::fatal("HandlerShape", "a handler gave work of another shape than it declared")
}
