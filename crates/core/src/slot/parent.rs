//! The worker's side of one child: started, greeted, set up, listened to, ended. Owns the stream and the child.

use std::{collections::BTreeMap, fmt, time::Duration};

use futures::FutureExt as _;
use tokio::time::timeout;
use tracing::warn;

use super::{
    frame::{Empty, Frame, FrameError, Measures, PROTOCOL, SetUp},
    frame_io::{FrameIo, SlotIoError},
    held::{Held, Share},
    launcher::{SlotChild, SlotExit, SlotIo},
    options::SlotOptions,
    translate,
};
use crate::{
    context::Device,
    instance::{Models, SetupTimes},
    model_source::FetchedModel,
    residency::Memory,
    worker_error::{Result, WorkerError},
};

/// How long the end of a child may take to become known: a process closes its files a moment before it can be
/// waited for, and one that was killed may wait for a disk.
const REAP_LIMIT: Duration = Duration::from_secs(2);

/// Questions in a row that a child may leave unanswered.
const UNANSWERED_MAX: u32 = 2;

/// Frames of an idle child that are thrown away at once; more than that is no leftover.
const STRAY_MAX: usize = 64;

/// A child that is up.
pub(super) struct Slot {
    io: FrameIo<Box<dyn SlotIo>>,
    child: Box<dyn SlotChild>,
    health_interval: Duration,
    unanswered: u32,
    /// What it told of itself when it was set up.
    measured: Measures,
    /// Where its models are.
    device: Device,
    /// Its share of the memory of its pool.
    share: Option<Share>,
    /// Its models stay on disk for as long as it may read them.
    on_disk: BTreeMap<String, FetchedModel>,
}

/// Why a child cannot be used any more.
#[derive(Debug)]
pub(super) enum Lost {
    /// Its stream ended, or broke.
    Ended,
    /// It says nothing any more.
    Silent,
    /// It says what nobody understands.
    Garbled(String),
}

impl Slot {
    /// Starts a child.
    pub(super) async fn launch(options: &SlotOptions, label: &str) -> Result<Self> {
        let launched = options.launcher.launch().await.map_err(|error| {
            WorkerError::retryable(format!("a slot of {label} could not be started")).with_source(error)
        })?;
        options.counters.started();
        Ok(Self {
            io: FrameIo::new(launched.stream),
            child: launched.child,
            health_interval: options.health_interval,
            unanswered: 0,
            measured: Measures::default(),
            device: Device::Cpu,
            share: None,
            on_disk: BTreeMap::new(),
        })
    }

    /// Waits for the child's Hello.
    pub(super) async fn greeted(&mut self, start_limit: Duration) -> Result<(), Lost> {
        match timeout(start_limit, self.hear()).await {
            Ok(Ok(Frame::Hello(hello))) if hello.protocol == PROTOCOL => Ok(()),
            Ok(Ok(_)) => Err(Lost::Garbled("it is of another version: was the binary replaced?".to_owned())),
            Ok(Err(lost)) => Err(lost),
            Err(_) => Err(Lost::Silent),
        }
    }

    /// Has the child make its instance. That takes as long as the author's setup, while the child answers. Gives the
    /// times that the child measured.
    pub(super) async fn set_up(&mut self, plan: SetUp) -> Result<Result<SetupTimes>, Lost> {
        self.device = translate::device(plan.cuda);
        if let Err(error) = self.say(Frame::SetUp(plan)) {
            return Err(Lost::Garbled(error.to_string()));
        }
        loop {
            match self.hear().await? {
                Frame::SetUpDone(ended) => {
                    self.measured = ended.measures.unwrap_or_default();
                    let Measures { setup_us, warmup_us, .. } = self.measured;
                    let (setup, warmup) = (Duration::from_micros(setup_us), Duration::from_micros(warmup_us));
                    let times = SetupTimes { spawn: Duration::ZERO, setup, warmup };
                    return Ok(translate::outcome(ended).map(|_| times));
                }
                Frame::Event(_) => {}
                other => return Err(Lost::Garbled(format!("unexpected during set-up: {other:?}"))),
            }
        }
    }

    /// What it told of itself when it was set up.
    pub(super) fn measured(&self) -> Measures {
        self.measured
    }

    /// What it told of itself after a call: whatever it does next, it was as large as this.
    pub(super) fn grew(&mut self, measures: Measures) {
        self.measured.peak_ram_bytes = self.measured.peak_ram_bytes.max(measures.peak_ram_bytes);
    }

    /// Counts the child, made from `models`, into what its pool holds: of memory what it said itself of host memory, and at least what its
    /// models were said to need.
    pub(super) fn takes(&mut self, held: &Held, models: Models, needs: Memory) {
        let ram_bytes = needs.ram_bytes.max(self.measured.ram_bytes);
        self.share = Some(held.take(models, Memory { ram_bytes, ..needs }));
    }

    /// Its models stay on disk while it is there.
    pub(super) fn keeps(&mut self, models: BTreeMap<String, FetchedModel>) {
        self.on_disk = models;
    }

    /// Memory it takes.
    pub(super) fn footprint(&self) -> Memory {
        self.share.as_ref().map(|share| share.own().clone()).unwrap_or_default()
    }

    /// Where its models are.
    pub(super) fn device(&self) -> Device {
        self.device
    }

    /// What it was made from.
    pub(super) fn models(&self) -> Models {
        self.share.as_ref().map(|share| share.models().clone()).unwrap_or_default()
    }

    /// Queues a frame; [`Slot::hear`] sends it.
    pub(super) fn say(&mut self, frame: Frame) -> Result<(), FrameError> {
        self.io.queue(frame)
    }

    /// What the child says next. Asks whether it is there when it says nothing for long.
    ///
    /// # Cancel safety
    /// May be dropped: nothing is lost but the time that has passed.
    pub(super) async fn hear(&mut self) -> Result<Frame, Lost> {
        loop {
            tokio::select! {
                biased;
                frame = self.io.next() => {
                    self.unanswered = 0;
                    match frame {
                        Ok(Some(Frame::Pong(_))) => {}
                        Ok(Some(frame)) => return Ok(frame),
                        Ok(None) | Err(SlotIoError::Broken(_)) => return Err(Lost::Ended),
                        Err(SlotIoError::Frame(error)) => return Err(Lost::Garbled(error.to_string())),
                    }
                }
                () = tokio::time::sleep(self.health_interval) => {
                    if self.unanswered >= UNANSWERED_MAX {
                        return Err(Lost::Silent);
                    }
                    self.unanswered += 1;
                    // Of a fixed size that always fits.
                    drop(self.say(Frame::Ping(Empty {})));
                }
            }
        }
    }

    /// Whether an idle child can take a call.
    pub(super) fn is_alive(&mut self) -> bool {
        if self.child.has_ended() {
            return false;
        }
        for _ in 0..STRAY_MAX {
            match self.io.next().now_or_never() {
                None => return true,
                Some(Ok(Some(_))) => {}
                Some(Ok(None) | Err(_)) => return false,
            }
        }
        false
    }

    /// Ends a child that is lost, if it did not end by itself. Says how.
    pub(super) async fn end(&mut self, lost: &Lost) -> String {
        if matches!(lost, Lost::Ended)
            && let Ok(exit) = timeout(REAP_LIMIT, self.child.wait()).await
        {
            return exit.to_string();
        }
        self.kill().await;
        lost.to_string()
    }

    /// Ends the child whatever it does.
    pub(super) async fn kill(&mut self) -> SlotExit {
        self.child.kill();
        timeout(REAP_LIMIT, self.child.wait()).await.unwrap_or(SlotExit::Unknown)
    }

    /// Lets the child shut its instance down and exit, within `limit`.
    pub(super) async fn close(mut self, limit: Duration, label: &str) {
        drop(self.say(Frame::Shutdown(Empty {})));
        let closed = timeout(limit, async {
            // The end of the stream; nothing that comes before it matters.
            while let Ok(Some(_)) = self.io.next().await {}
            self.child.wait().await
        });
        match closed.await {
            Ok(SlotExit::Code(0)) => {}
            Ok(exit) => warn!(endpoint = label, %exit, "a slot did not end well"),
            Err(_) => {
                warn!(endpoint = label, ?limit, "a slot took too long to shut down and was killed");
                self.kill().await;
            }
        }
    }
}

impl fmt::Display for Lost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ended => f.write_str("its stream ended"),
            Self::Silent => f.write_str("it stopped answering"),
            Self::Garbled(why) => f.write_str(why),
        }
    }
}
