//! One call in a slot, from the worker's side. Owns the slot and its place in the pool while it lasts.
//!
//! A call that is dropped is not over: a task of the pool cancels it, waits for the answer, kills the child when the
//! grace has passed, and only then gives the place back.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use tokio::{
    runtime::Handle,
    sync::OwnedSemaphorePermit,
    time::{Instant, sleep_until},
};
use tracing::{info, warn};

use super::{
    frame::{Chunk, Empty, Event, Frame, Measures},
    parent::{Lost, Slot},
    pool::Shared,
    saves::Saves,
    translate,
};
use crate::{
    context::{Device, RequestContext},
    function::{Call, Frame as Item},
    instance::Permit,
    peaks::Peaks,
    stream_item::frame_type,
    worker_error::{Result, WorkerError},
};

/// A call that was started.
pub(super) struct SlotCall(Option<Running>);

/// What comes of a call.
pub(super) enum Step {
    /// An item of a stream.
    Item(Item),
    /// The end; nothing may be asked after it.
    Ended(Result<Option<Bytes>>),
}

/// What belongs to a call besides its slot.
#[derive(Default)]
pub(super) struct Attached {
    /// The job's accelerators: free only when the child has let go of them.
    pub(super) permit: Option<Permit>,
    /// Where what the child was seen to use is noted.
    pub(super) peaks: Option<Arc<Peaks>>,
}

struct Running {
    // Dropped before the place: a child whose handle drops is killed.
    slot: Slot,
    place: OwnedSemaphorePermit,
    attached: Attached,
    context: RequestContext,
    /// When it was told to end.
    cancelled: Option<Instant>,
    pool: Arc<Shared>,
    saves: Saves,
}

enum Progress {
    Item(Item),
    Answered(Result<Option<Bytes>>),
    Lost(Lost),
    GraceOver,
}

impl SlotCall {
    /// Starts `call` in `slot`; nothing is sent before the first [`SlotCall::next`].
    pub(super) fn start(
        mut slot: Slot,
        place: OwnedSemaphorePermit,
        attached: Attached,
        call: &Call,
        pool: Arc<Shared>,
    ) -> Result<Self> {
        if slot.say(Frame::Start(translate::start(call))).is_err() {
            pool.put_back(slot, place);
            return Err(WorkerError::validation("input payload too large"));
        }
        // Should it crash or be killed, what it used before is all that is known.
        attached.saw(slot.measured());
        Ok(Self(Some(Running {
            slot,
            place,
            attached,
            context: call.context.clone(),
            cancelled: None,
            pool,
            saves: Saves::default(),
        })))
    }

    /// What comes next.
    ///
    /// # Cancel safety
    /// May be dropped and asked again, as long as the end was not reached.
    pub(super) async fn next(&mut self) -> Step {
        let Some(running) = &mut self.0 else { return Step::Ended(Err(WorkerError::canceled())) };
        let end = match running.progress().await {
            Progress::Item(item) => return Step::Item(item),
            end => end,
        };
        match self.0.take() {
            Some(running) => Step::Ended(running.finish(end).await),
            None => Step::Ended(Err(WorkerError::canceled())),
        }
    }
}

impl Drop for SlotCall {
    fn drop(&mut self) {
        // Without a runtime nobody could wait for the child: it is killed with its handle.
        if let (Some(mut running), Ok(_)) = (self.0.take(), Handle::try_current()) {
            let pool = running.pool.clone();
            running.cancel();
            pool.scope.spawn("slot-cancel", async move {
                let end = loop {
                    match running.progress().await {
                        Progress::Item(_) => {}
                        end => break end,
                    }
                };
                drop(running.finish(end).await);
            });
        }
    }
}

impl Attached {
    fn saw(&self, measures: Measures) {
        if let Some(peaks) = &self.peaks {
            peaks.saw_ram(measures.peak_ram_bytes);
            peaks.saw_vram(measures.peak_vram_bytes);
        }
    }
}

impl Running {
    /// Tells the handler to end. Idempotent.
    fn cancel(&mut self) {
        if self.cancelled.is_none() {
            self.cancelled = Some(Instant::now());
            self.saves.clear();
            // Of a fixed size that always fits.
            drop(self.slot.say(Frame::Cancel(Empty {})));
        }
    }

    async fn progress(&mut self) -> Progress {
        loop {
            let Self { slot, context, cancelled, pool, saves, .. } = self;
            let kill_at = cancelled.map(|at| at + pool.options.cancel_grace);
            // The clock first: a child that never stops sending must not outrun it.
            let heard = tokio::select! {
                biased;
                () = reached(kill_at) => return Progress::GraceOver,
                () = context.cancelled(), if cancelled.is_none() => None,
                saved = saves.next() => {
                    // An answer is a few texts and always fits.
                    drop(slot.say(Frame::Saved(saved)));
                    continue;
                }
                heard = slot.hear() => Some(heard),
            };
            match heard {
                None => self.cancel(),
                Some(Err(lost)) => return Progress::Lost(lost),
                Some(Ok(frame)) => {
                    if let Some(progress) = self.heard(frame) {
                        return progress;
                    }
                }
            }
        }
    }

    fn heard(&mut self, frame: Frame) -> Option<Progress> {
        match frame {
            Frame::Chunk(chunk) => self.chunk(chunk),
            Frame::Event(event) => {
                self.event(event);
                None
            }
            Frame::Save(save) => {
                // Nobody waits for what comes after a cancel.
                if self.cancelled.is_some() {
                    return None;
                }
                let asked = self.saves.asked(save, &self.context.parts().saver);
                asked.err().map(|_| Progress::Lost(Lost::Garbled("more files to save than there may be".to_owned())))
            }
            Frame::Returned(ended) => {
                let measures = ended.measures.unwrap_or_default();
                self.attached.saw(measures);
                self.slot.grew(measures);
                Some(Progress::Answered(translate::outcome(ended)))
            }
            other => Some(Progress::Lost(Lost::Garbled(format!("unexpected during a call: {other:?}")))),
        }
    }

    fn chunk(&self, chunk: Chunk) -> Option<Progress> {
        let Chunk { content_type, data } = chunk;
        match frame_type(&content_type) {
            // Nobody waits for what comes after a cancel.
            Some(_) if self.cancelled.is_some() => None,
            Some(content_type) => Some(Progress::Item(Item::Chunk { content_type, data })),
            None => Some(Progress::Lost(Lost::Garbled("a chunk of an unknown media type".to_owned()))),
        }
    }

    fn event(&self, event: Event) {
        if let (None, Some(event)) = (self.cancelled, translate::request_event(event)) {
            self.context.parts().events.emit(event);
        }
    }

    /// Gives the place back once the child answered or is gone.
    async fn finish(mut self, end: Progress) -> Result<Option<Bytes>> {
        let after_cancel = self.cancelled.map(|at| at.elapsed());
        match end {
            Progress::Answered(outcome) => {
                self.tell_cancel(after_cancel, false);
                let Self { slot, place, attached, pool, .. } = self;
                pool.put_back(slot, place);
                drop(attached);
                outcome
            }
            Progress::Lost(lost) => {
                let how = self.slot.end(&lost).await;
                self.tell_cancel(after_cancel, false);
                Err(self.crashed(&how, after_cancel.is_some()))
            }
            Progress::GraceOver => {
                self.slot.kill().await;
                self.pool.options.counters.killed();
                self.tell_cancel(self.cancelled.map(|at| at.elapsed()), true);
                Err(WorkerError::canceled())
            }
            Progress::Item(_) => Err(WorkerError::canceled()),
        }
    }

    fn crashed(&self, how: &str, cancelled: bool) -> WorkerError {
        let Self { context, pool, .. } = self;
        let pair = &context.parts().pair;
        warn!(%pair, endpoint = pool.label, how, "worker slot crashed");
        pool.options.counters.crashed();
        if cancelled {
            return WorkerError::canceled();
        }
        WorkerError::slot_crashed(how, pool.crashes.lock().again(pair))
    }

    /// What the cancel cost: the time until the handler had ended.
    fn tell_cancel(&self, after: Option<Duration>, killed: bool) {
        let Some(after) = after else { return };
        let parts = self.context.parts();
        self.pool.options.counters.cancelled(parts.device, after);
        let (pair, ms) = (&parts.pair, u64::try_from(after.as_millis()).unwrap_or(u64::MAX));
        match parts.device {
            Device::Cpu => info!(%pair, cpu_ms_after_cancel = ms, killed, "cancelled handler ended"),
            Device::Cuda(_) => info!(%pair, gpu_ms_after_cancel = ms, killed, "cancelled handler ended"),
        }
    }
}

/// Completes at that moment, never without one.
async fn reached(at: Option<Instant>) {
    match at {
        Some(at) => sleep_until(at).await,
        None => std::future::pending().await,
    }
}
