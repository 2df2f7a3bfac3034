//! The child's side of a slot: one loop that reads what the worker wants, watches the one call, and writes what comes
//! of it. Owns the instance, the call and the stream.
//!
//! The loop never runs the author's code itself, nor on the threads of its own runtime unless the caller wants that:
//! so it answers as long as the process can answer at all.

mod call;
mod measures;
mod saves;

use std::{collections::HashMap, sync::Arc};

use bytes::Bytes;
use futures::future::pending;
use gen_worker_proto::limits::MESSAGE_BYTES_MAX;
use gen_worker_tasks::Scope;
use tokio::{
    runtime::Handle,
    sync::mpsc,
    task::{JoinError, JoinHandle},
};
use tracing::debug;

use self::call::{Outgoing, Outlet, Running};
use super::{
    frame::{Empty, Ended, Frame, Hello, PROTOCOL, SetUp, Start},
    frame_io::{FrameIo, SlotIoError},
    launcher::SlotIo,
    translate,
};
use crate::{
    Instance, InstanceCell, LocalModels, ModelSource, Registry,
    context::{CancelFlag, RequestContext},
    function::Call,
    memory::MemoryProbe,
    worker_error::{Result, WorkerError},
};

/// Frames of a handler that wait for the loop. Events past it are lost, chunks wait.
const OUTGOING_MAX: usize = 256;

/// Bytes that may wait for the worker to read them before the handler has to wait too.
const UNSENT_BYTES_MAX: usize = 256 * 1024;

/// Why a child ended that was not asked to.
#[derive(Debug, thiserror::Error)]
pub enum SlotServeError {
    /// The stream to the worker cannot be used.
    #[error(transparent)]
    Io(#[from] SlotIoError),
    /// The worker said something that makes no sense now.
    #[error("the worker asked for {0} at the wrong time")]
    OutOfTurn(&'static str),
}

type Outcome = Result<Option<Bytes>>;

struct Child<'a> {
    registry: &'a Registry,
    io: FrameIo<Box<dyn SlotIo>>,
    scope: Arc<Scope>,
    /// Where the author's code runs.
    handlers: &'a Handle,
    memory: Arc<dyn MemoryProbe>,
    outgoing: mpsc::Receiver<Outgoing>,
    outlet: Outlet,
    cell: Option<Arc<InstanceCell>>,
    instance: Option<Instance>,
    setup: Option<JoinHandle<Result<Option<Instance>>>>,
    call: Option<Running>,
}

enum Turn {
    Said(Option<Frame>),
    Outgoing(Outgoing),
    SetUp(std::result::Result<Result<Option<Instance>>, JoinError>),
    Returned(std::result::Result<Outcome, JoinError>),
}

/// Serves one slot over `stream` until the worker says Shutdown, or is gone: then a call under way is dropped. The
/// author's shutdown runs only in the first case. The caller ends the process next, whatever may still run in it.
///
/// Everything the author wrote runs on `handlers`. With a runtime of their own they may keep all its threads busy, and
/// the worker is answered all the same. `memory` tells what its calls use of accelerators; it is asked only while a
/// call runs on one.
///
/// # Errors
/// When the worker cannot be understood.
pub async fn serve_slot(
    registry: &Registry,
    stream: Box<dyn SlotIo>,
    handlers: &Handle,
    memory: Arc<dyn MemoryProbe>,
) -> Result<(), SlotServeError> {
    let (sender, outgoing) = mpsc::channel(OUTGOING_MAX);
    let mut child = Child {
        registry,
        io: FrameIo::new(stream),
        scope: Arc::new(Scope::new("slot")),
        handlers,
        memory,
        outgoing,
        outlet: Outlet::new(sender),
        cell: None,
        instance: None,
        setup: None,
        call: None,
    };
    child.say(Frame::Hello(Hello { protocol: PROTOCOL }))?;
    child.run().await
}

impl Child<'_> {
    async fn run(&mut self) -> Result<(), SlotServeError> {
        loop {
            match self.turn().await? {
                Turn::Said(None) => return Ok(()),
                Turn::Said(Some(Frame::Shutdown(_))) => {
                    self.shut_down().await;
                    return Ok(());
                }
                Turn::Said(Some(frame)) => self.said(frame)?,
                Turn::Outgoing(outgoing) => self.pass_on(outgoing)?,
                Turn::SetUp(done) => self.set_up_done(done)?,
                Turn::Returned(ended) => self.returned(ended)?,
            }
        }
    }

    async fn turn(&mut self) -> Result<Turn, SlotServeError> {
        let Self { io, outgoing, setup, call, .. } = self;
        let room = io.unsent() < UNSENT_BYTES_MAX;
        let task = call.as_mut().map(|running| &mut running.task);
        tokio::select! {
            said = io.next() => Ok(Turn::Said(said?)),
            Some(outgoing) = outgoing.recv(), if room => Ok(Turn::Outgoing(outgoing)),
            done = joined(setup.as_mut()) => Ok(Turn::SetUp(done)),
            ended = joined(task) => Ok(Turn::Returned(ended)),
        }
    }

    fn said(&mut self, frame: Frame) -> Result<(), SlotServeError> {
        match frame {
            Frame::SetUp(plan) => self.set_up(plan),
            Frame::Start(start) => self.start(start),
            Frame::Cancel(_) => {
                // A call that has ended meanwhile was answered already.
                if let Some(running) = &self.call {
                    running.interrupt();
                }
                Ok(())
            }
            Frame::Saved(saved) => {
                if let Some(running) = &self.call {
                    running.saves.answered(saved);
                }
                Ok(())
            }
            Frame::Ping(_) => self.say(Frame::Pong(Empty {})),
            other => {
                debug!(?other, "frame that is not for a child ignored");
                Ok(())
            }
        }
    }

    fn set_up(&mut self, plan: SetUp) -> Result<(), SlotServeError> {
        if self.setup.is_some() || self.instance.is_some() {
            return Err(SlotServeError::OutOfTurn("a set-up"));
        }
        let Some(function) = self.registry.get(&plan.function) else {
            return self.say(Frame::SetUpDone(translate::ended(Err(unknown(&plan.function)))));
        };
        self.cell = function.instance().cloned();
        let models = plan
            .models
            .iter()
            .fold(LocalModels::new(), |models, model| models.with(model.reference.as_str(), translate::dir(model)));
        let (cell, models) = (self.cell.clone(), Arc::new(models) as Arc<dyn ModelSource>);
        let device = translate::device(plan.cuda);
        let _here = self.handlers.enter();
        self.setup = Some(self.scope.spawn_bare(async move {
            match cell {
                Some(cell) => cell.get_on(device, &models, &HashMap::new()).await.map(Some),
                None => Ok(None),
            }
        }));
        Ok(())
    }

    fn set_up_done(
        &mut self,
        done: std::result::Result<Result<Option<Instance>>, JoinError>,
    ) -> Result<(), SlotServeError> {
        self.setup = None;
        let outcome = done.unwrap_or_else(|lost| Err(failure(lost))).map(|instance| {
            self.instance = instance;
            None
        });
        let times = self.cell.as_deref().map(InstanceCell::setup_times).unwrap_or_default();
        let measures = measures::of_set_up(times);
        self.say(Frame::SetUpDone(Ended { measures: Some(measures), ..translate::ended(outcome) }))
    }

    fn start(&mut self, start: Start) -> Result<(), SlotServeError> {
        if self.call.is_some() {
            return Err(SlotServeError::OutOfTurn("a second call"));
        }
        let Some(function) = self.registry.get(&start.function).cloned() else {
            return self.say(Frame::Returned(translate::ended(Err(unknown(&start.function)))));
        };
        let (cancel, outlet) = (CancelFlag::new(), self.outlet.next_call());
        let memory = start.cuda.is_some().then(|| self.memory.clone());
        let (parts, payload, caller) =
            translate::call(start, cancel.clone(), Arc::new(outlet.clone()), Arc::new(outlet.clone()), &self.scope)
                .map_err(SlotIoError::Frame)?;
        let call = Call { context: RequestContext::new(parts), payload, instance: self.instance.clone(), caller };
        let _here = self.handlers.enter();
        self.call = Some(Running::start(&self.scope, function, call, outlet, cancel, memory));
        Ok(())
    }

    fn returned(&mut self, ended: std::result::Result<Outcome, JoinError>) -> Result<(), SlotServeError> {
        // Everything it sent is here already, and comes before its end.
        while let Ok(outgoing) = self.outgoing.try_recv() {
            self.pass_on(outgoing)?;
        }
        let peaks = self.call.take().map(|running| running.peaks);
        self.outlet.next_call();
        let outcome = match ended {
            Ok(Ok(Some(output))) if output.len() > MESSAGE_BYTES_MAX => Err(too_large()),
            Ok(outcome) => outcome,
            Err(lost) => Err(failure(lost)),
        };
        let measures = measures::of_call(peaks.as_deref());
        self.say(Frame::Returned(Ended { measures: Some(measures), ..translate::ended(outcome) }))
    }

    /// What a call sent that is over belongs to nobody.
    fn pass_on(&mut self, outgoing: Outgoing) -> Result<(), SlotServeError> {
        if self.outlet.is_current(&outgoing) { self.say(outgoing.frame) } else { Ok(()) }
    }

    fn say(&mut self, frame: Frame) -> Result<(), SlotServeError> {
        Ok(self.io.queue(frame).map_err(SlotIoError::Frame)?)
    }

    async fn shut_down(&mut self) {
        self.instance = None;
        if let Some(cell) = self.cell.take() {
            let closing = {
                let _here = self.handlers.enter();
                self.scope.spawn_bare(async move { cell.shutdown().await })
            };
            // A panic of the author's code must not look like a crash of the slot.
            drop(closing.await);
        }
    }
}

impl Drop for Child<'_> {
    fn drop(&mut self) {
        if let Some(setup) = &self.setup {
            setup.abort();
        }
        if let Some(call) = &self.call {
            call.interrupt();
        }
    }
}

/// The end of a task, if there is one.
async fn joined<T>(task: Option<&mut JoinHandle<T>>) -> std::result::Result<T, JoinError> {
    match task {
        Some(task) => task.await,
        None => pending().await,
    }
}

fn failure(lost: JoinError) -> WorkerError {
    match lost.try_into_panic() {
        Ok(panic) => WorkerError::from_panic(&*panic),
        Err(_) => WorkerError::canceled(),
    }
}

fn unknown(function: &str) -> WorkerError {
    WorkerError::fatal("UnknownFunction", format!("this binary has no function {function:?}"))
}

/// An output or an item that no message can carry.
fn too_large() -> WorkerError {
    WorkerError::validation("output payload too large")
}
