//! Messages of the orchestrator, turned into typed values and handed to the machine they concern. Owns no state.

use std::{sync::Arc, time::Duration};

use gen_worker_proto::{
    Pair,
    pb::{self, scheduler_message::Msg as Inbound},
};
use tokio::time::Instant;
use tracing::warn;

use super::serving::Serving;
use crate::{
    Instance,
    context::Device,
    executor::{JobCell, concerns},
    job::{Arrival, GpuSpan, Needs, Target},
    lora_overlays::check_dispatch,
    scratch::{Scratch, ScratchRoot},
};

impl Serving {
    pub(super) fn message(&mut self, message: Inbound) {
        match message {
            Inbound::RunJob(run) => self.run_job(run),
            Inbound::CancelJob(cancel) => {
                if let Ok(pair) = Pair::parse(cancel.request_id, cancel.attempt) {
                    // One whose result is on its way has ended before this came.
                    if !self.table.handle(&pair).is_some_and(|job| job.is_returning()) {
                        self.table.cancel(&pair, &mut self.actions);
                        self.perform();
                    }
                }
            }
            Inbound::HelloAck(ack) => self.acknowledge(ack),
            Inbound::Drain(drain) => {
                let grace = u64::try_from(drain.deadline_ms).ok().filter(|millis| *millis > 0);
                self.begin_drain(grace.map(Duration::from_millis), false);
            }
            Inbound::TokenRefresh(refresh) => self.token_pushed(refresh.token),
            Inbound::ModelOp(op) => self.model_op(op),
        }
    }

    fn run_job(&mut self, mut run: pb::RunJob) {
        let pair = match Pair::parse(run.request_id.as_str(), run.attempt) {
            Ok(pair) => pair,
            // Nothing that could be answered: a reply needs the pair.
            Err(error) => return warn!(%error, "dispatch without a usable request id ignored"),
        };
        if pair.attempt.0 > 1 {
            self.outbox.withdraw_other_attempts(&pair);
        }
        let name = std::mem::take(&mut run.function_name);
        let (mut number, mut instance, mut gpu, mut files, mut unsound) = (0, None, None, false, None);
        let adapted = run.models.iter().any(|model| !model.loras.is_empty());
        let target = match self.roster.find(&name) {
            None => Target::Unknown(&name),
            Some((at, entry)) => match self.availability.disabled(entry.function.name()) {
                Some(why) => Target::Disabled(&why.reason),
                None => {
                    number = at;
                    unsound = check_dispatch(&run.models, entry.function.slots()).err().map(|error| error.to_string());
                    let cell = entry.function.instance();
                    files = concerns(&entry.function, &run.input_payload);
                    // Kept from nobody while what its payload names comes.
                    instance = cell.filter(|_| !files).and_then(|cell| cell.ready());
                    let granted = accelerators(run.compute.as_ref(), entry.function.resources().gpu());
                    let there = instance.as_ref().map_or(Device::Cpu, |instance: &Instance| instance.slots().device());
                    gpu = granted.map(|span| span.at(there));
                    Target::Known(Needs {
                        function: at,
                        concurrency_max: entry.concurrency_max,
                        files,
                        // Adapters have to come, too, before it starts.
                        instance: cell.is_some() && (adapted || instance.is_none()),
                        thread: entry.function.is_blocking(),
                        gpu,
                    })
                }
            },
        };
        let target = match (&unsound, target) {
            (Some(why), Target::Known(_)) => Target::Invalid(why),
            (_, target) => target,
        };
        let (input_bytes, draining) = (run.input_payload.len(), self.drain.is_some());
        let outbox = &self.outbox;
        let scratch = self.scratch.as_ref().map_or_else(Scratch::nowhere, ScratchRoot::scratch);
        let job = |pair| {
            let cell = JobCell::new(pair, number, run, instance, gpu, outbox.clone(), Instant::now());
            Arc::new(cell.with_files(scratch, files))
        };
        self.table.arrived(Arrival { pair, input_bytes, draining, target }, job, &mut self.actions);
        self.perform();
    }
}

/// The accelerators that a dispatch grants; without a grant, the first one for a function that declares that it needs
/// one (12.5).
fn accelerators(granted: Option<&pb::ResolvedCompute>, declared: bool) -> Option<GpuSpan> {
    match granted {
        Some(compute) if compute.accelerator == "cuda" => Some(GpuSpan::new(compute.gpu_index, compute.gpu_count)),
        Some(_) => None,
        None => declared.then(|| GpuSpan::new(0, 1)),
    }
}
