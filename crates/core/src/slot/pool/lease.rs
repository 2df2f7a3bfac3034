//! A slot in the hands of one job. Owns it until a call takes it; it goes back when nobody did.

use std::sync::Arc;

use async_stream::stream;
use parking_lot::Mutex;
use tokio::sync::OwnedSemaphorePermit;

use super::Shared;
use crate::{
    endpoint::OutputShape,
    function::{Call, Frame, Invocation},
    instance::{Permit, RemoteCalls},
    peaks::Peaks,
    slot::{
        call::{Attached, SlotCall, Step},
        parent::Slot,
    },
    worker_error::{Result, WorkerError},
};

pub(super) struct Lease {
    held: Mutex<Option<(Slot, OwnedSemaphorePermit)>>,
    /// What belongs to the call besides.
    attached: Mutex<Attached>,
    pool: Arc<Shared>,
}

impl Lease {
    pub(super) fn new(slot: Slot, place: OwnedSemaphorePermit, pool: Arc<Shared>) -> Self {
        Self { held: Mutex::new(Some((slot, place))), attached: Mutex::default(), pool }
    }

    fn start(&self, call: &Call) -> Result<SlotCall> {
        let held = self.held.lock().take();
        let (slot, place) = held.ok_or_else(|| WorkerError::fatal("SlotInUse", "the slot has a call already"))?;
        let attached = std::mem::take(&mut *self.attached.lock());
        SlotCall::start(slot, place, attached, call, self.pool.clone())
    }
}

impl RemoteCalls for Lease {
    fn hold(&self, permit: Permit) {
        self.attached.lock().permit = Some(permit);
    }

    fn measure(&self, peaks: Arc<Peaks>) {
        self.attached.lock().peaks = Some(peaks);
    }

    fn invoke(self: Arc<Self>, call: Call, shape: OutputShape) -> Result<Invocation> {
        Ok(match shape {
            OutputShape::Single => Invocation::Async(Box::pin(async move {
                let mut running = self.start(&call)?;
                drop(call);
                loop {
                    if let Step::Ended(outcome) = running.next().await {
                        return outcome?.ok_or_else(|| WorkerError::fatal("HandlerShape", "the slot gave no output"));
                    }
                }
            })),
            OutputShape::Incremental => Invocation::Stream(Box::pin(stream! {
                let mut running = match self.start(&call) {
                    Ok(running) => running,
                    Err(error) => {
                        yield Err(error);
                        return;
                    }
                };
                drop(call);
                loop {
                    match running.next().await {
                        Step::Item(item) => yield Ok(item),
                        Step::Ended(outcome) => {
                            yield outcome.map(Frame::End);
                            return;
                        }
                    }
                }
            })),
        })
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if let Some((slot, place)) = self.held.get_mut().take() {
            self.pool.put_back(slot, place);
        }
    }
}
