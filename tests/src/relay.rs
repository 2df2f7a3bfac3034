//! A man in the middle of the wire: workers connect to it, and it carries their streams to an orchestrator message by
//! message. What goes through is written down, and can be withheld, added to, or ended.
//!
//! ```text
//! worker <-> Relay <-> orchestrator
//!              |
//!           journal
//! ```
//!
//! Messages go through as bytes, so that what neither side knows is carried like the rest. The relay owns its threads
//! and ends with its guard.

mod codec;
mod journal;
mod line;
mod service;

use std::{collections::VecDeque, net::SocketAddr, sync::Arc};

use anyhow::{Context, Result};
use bytes::Bytes;
use gen_worker_proto::pb::{SchedulerMessage, WorkerMessage, scheduler_message::Msg as Outbound, worker_message::Msg};
use gen_worker_tasks::Scope;
use parking_lot::Mutex;
use prost::Message as _;
use tokio::{
    net::TcpListener,
    runtime::{Builder, Runtime},
    sync::watch,
};
use tonic::Status;

use journal::Journal;
pub use journal::{Entry, Event};
use line::Line;

use crate::eventually;

/// A relay to one orchestrator.
#[derive(Debug)]
pub struct Relay {
    address: SocketAddr,
    shared: Arc<Shared>,
    // Dropped last: the tasks of the shared part run on it.
    _runtime: Runtime,
}

/// What the streams of a relay have in common.
pub(crate) struct Shared {
    target: SocketAddr,
    journal: Mutex<Journal>,
    refusals: Mutex<VecDeque<Status>>,
    reachable: watch::Sender<bool>,
    withheld: Mutex<Option<Withheld>>,
    lines: Mutex<Vec<Arc<Line>>>,
    scope: Scope,
}

type Withheld = Box<dyn FnMut(&Event) -> bool + Send>;

impl Relay {
    /// A relay from a free local port to the wire port of an orchestrator.
    ///
    /// # Errors
    /// When no port or thread is to be had.
    pub fn to(target: SocketAddr) -> Result<Self> {
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().context("start the relay")?;
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).context("bind the relay")?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared {
            target,
            journal: Mutex::default(),
            refusals: Mutex::default(),
            reachable: watch::Sender::new(true),
            withheld: Mutex::default(),
            lines: Mutex::default(),
            scope: Scope::new("relay"),
        });
        let _entered = runtime.enter();
        shared.scope.spawn("server", service::serve(listener, Arc::downgrade(&shared)));
        Ok(Self { address, shared, _runtime: runtime })
    }

    /// Where workers connect.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Looks at what went through so far, until there is something to see.
    ///
    /// # Errors
    /// When it does not come within the limit; the text has what went through.
    pub fn wait<T>(&self, what: &str, mut look: impl FnMut(&[Entry]) -> Option<T>) -> Result<T> {
        eventually(what, || look(self.shared.journal.lock().entries()))
            .with_context(|| format!("the wire so far:\n{}", self.shared.journal.lock()))
    }

    /// What there is to see of what went through so far.
    pub fn look<T>(&self, look: impl FnOnce(&[Entry]) -> T) -> T {
        look(self.shared.journal.lock().entries())
    }

    /// Answers the Hello of the next streams with these refusals, one each.
    pub fn refuse(&self, refusals: impl IntoIterator<Item = Status>) {
        self.shared.refusals.lock().extend(refusals);
    }

    /// Whether streams are taken; one that comes while they are not has to wait.
    pub fn set_reachable(&self, reachable: bool) {
        self.shared.reachable.send_replace(reachable);
    }

    /// Swallows, from here on, the messages that are `withheld`, in place of those of an earlier call.
    pub fn withhold(&self, withheld: impl FnMut(&Event) -> bool + Send + 'static) {
        *self.shared.withheld.lock() = Some(Box::new(withheld));
    }

    /// Says something to the worker of the newest stream.
    ///
    /// # Errors
    /// When there is none, or it takes nothing.
    pub fn tell_worker(&self, message: Outbound) -> Result<()> {
        self.tell_worker_bytes(SchedulerMessage { msg: Some(message) }.encode_to_vec().into())
    }

    /// The same with the bytes of a message.
    ///
    /// # Errors
    /// As [`Relay::tell_worker`].
    pub fn tell_worker_bytes(&self, message: Bytes) -> Result<()> {
        self.newest()?.tell_worker(Ok(message))
    }

    /// Says something to the orchestrator on the newest stream.
    ///
    /// # Errors
    /// When there is none, or it takes nothing.
    pub fn tell_orchestrator(&self, message: Msg) -> Result<()> {
        self.tell_orchestrator_bytes(WorkerMessage { msg: Some(message) }.encode_to_vec().into())
    }

    /// The same with the bytes of a message.
    ///
    /// # Errors
    /// As [`Relay::tell_orchestrator`].
    pub fn tell_orchestrator_bytes(&self, message: Bytes) -> Result<()> {
        self.newest()?.tell_orchestrator(Ok(message))
    }

    /// Ends the newest stream: the worker gets the status, the orchestrator a broken stream.
    ///
    /// # Errors
    /// When there is none, or it has ended.
    pub fn end(&self, status: Status) -> Result<()> {
        let line = self.newest()?;
        self.shared.journal.lock().add(line.number, Event::Ended(status.clone()));
        line.forget_worker();
        line.tell_worker(Err(status))?;
        line.tell_orchestrator(Err(Status::cancelled("the relay broke the stream")))?;
        line.end.kill();
        Ok(())
    }

    /// Ends the newest stream for the worker alone: the orchestrator does not learn of it.
    ///
    /// # Errors
    /// When there is none, or it has ended.
    pub fn detach(&self) -> Result<()> {
        let line = self.newest()?;
        line.forget_worker();
        line.tell_worker(Err(Status::unavailable("the relay let go")))
    }

    fn newest(&self) -> Result<Arc<Line>> {
        self.shared.lines.lock().last().cloned().context("no stream yet")
    }
}

impl Shared {
    /// Writes a message down; whether it is to go through.
    fn passes(&self, line: usize, event: Option<Event>) -> bool {
        let Some(event) = event else { return true };
        let passes = !self.withheld.lock().as_mut().is_some_and(|withheld| withheld(&event));
        self.journal.lock().add(line, event);
        passes
    }
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared").field("target", &self.target).finish_non_exhaustive()
    }
}
