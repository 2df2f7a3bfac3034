//! From the queue to a worker: builds the snapshot, lets the scheduler decide, sends.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use gen_worker_proto::{
    Attempt,
    pb::{self, scheduler_message::Msg},
};
use tonic::Status;
use tracing::warn;

use super::{Owner, ending::Detail, models::Luggage};
use crate::{
    hub::JobGrant,
    lifecycle::Happened,
    pool::{
        event::Event,
        live::{Live, Recorded, Sequence, Spot},
        roster::{self, WorkerKey},
        view::add,
    },
    request::State,
    scheduler::{self, Assign, Lane, Snapshot, Tier, Worker},
};

impl Owner {
    /// Places what can be placed.
    pub(super) fn plan(&mut self) {
        if !std::mem::take(&mut self.plan_needed) || self.lanes.waiting() == 0 {
            return;
        }
        let per_worker = self.options.jobs_per_worker_max;
        let workers: Vec<Worker> = self
            .roster
            .slots()
            .map(|worker| {
                let load = worker.map_or(0, |worker| u32::try_from(worker.jobs.len()).unwrap_or(u32::MAX));
                let takes_work = worker.is_some_and(roster::Worker::takes_work);
                Worker { load, free: if takes_work { per_worker.saturating_sub(load) } else { 0 } }
            })
            .collect();
        if workers.iter().all(|worker| worker.free == 0) {
            return;
        }
        let mut keys = Vec::new();
        let mut lanes = Vec::new();
        for (key, lane) in self.lanes.busy() {
            for seat in &mut lane.seats {
                seat.free = self.roster.get(seat.worker).map_or(0, |worker| worker.free_for(&lane.function));
            }
            keys.push(key);
            lanes.push(Lane { waiting: &lane.waiting, seats: &lane.seats });
        }
        let tier = |worker: usize, models: &[String]| {
            let held =
                |worker: &roster::Worker| worker.held.farthest(models.iter().map(String::as_str), worker.has_vram());
            self.roster.get(worker).map_or(Tier::Absent, held)
        };
        for Assign { lane, place, worker } in scheduler::plan(&Snapshot { lanes, workers }, &tier) {
            if let Some(key) = keys.get(lane) {
                self.lanes.leave(*key, place);
            }
            if self.roster.get(worker).is_some_and(roster::Worker::takes_work) {
                self.dispatch(place.sequence, worker);
            } else {
                // Its stream was cut by what was sent a moment ago.
                self.enter(place.sequence);
            }
        }
    }

    /// Sends a queued request, which has left its lane, to a worker. After a restart its attempt is written first.
    fn dispatch(&mut self, sequence: Sequence, worker_key: WorkerKey) {
        let Some(live) = self.table.get_mut(sequence) else { return };
        let Some(worker) = self.roster.get_mut(worker_key) else { return };
        let on_record_first = live.life.is_behind() && live.is_durable();
        let attempt = live.life.dispatch();
        live.worker = Some(worker_key);
        live.dispatched = self.now;
        live.accepted = None;
        live.sends = 0;
        live.recorded = Recorded::default();
        let at = self.clock.unix(self.now);
        live.state = State::Assigned;
        live.spot = Some(Spot { worker_id: Arc::clone(&worker.id), assigned_at: at, started_at: None });
        live.behind = true;
        worker.add_job(sequence, &live.request.submitted.function);
        let worker_id = Some(Arc::clone(&worker.id));
        let id = live.ring.next_id(attempt.0);
        let grown = live.publish(Event::State { id, state: State::Assigned, worker_id, at });
        let (lane, durable) = (live.lane, live.is_durable());
        self.lanes.count_queued(lane, false);
        self.lanes.count_running(lane, true);
        self.account(sequence, grown);
        if durable {
            self.timers.record(self.now, sequence, attempt);
        }
        add(&self.view.totals.dispatched);
        if on_record_first { self.record_now(sequence, attempt) } else { self.send_run_job(sequence) }
    }

    /// The assignment of an attempt is on disk, or its models are known: it may be sent, if it is still wanted.
    pub(super) fn recorded(&mut self, sequence: Sequence, attempt: Attempt) {
        if !super::fire::is_unanswered(&self.table, sequence, attempt) {
            return;
        }
        if self.table.get(sequence).is_some_and(|live| live.life.cancel_requested()) {
            // Nobody has it, so nobody will answer.
            self.happen(sequence, Happened::CancelOverdue(attempt), Detail::default());
        } else {
            self.send_run_job(sequence);
        }
    }

    /// Sends the current attempt to its worker, for the first time or again.
    pub(super) fn send_run_job(&mut self, sequence: Sequence) {
        let Some(Luggage { snapshots, is_light }) = self.luggage(sequence) else { return };
        let Some(live) = self.table.get_mut(sequence) else { return };
        let Some(worker_key) = live.worker else { return };
        live.sends += 1;
        live.is_light = is_light;
        live.carried = snapshots.iter().map(|(name, files)| (name.clone(), files.digest.clone())).collect();
        let attempt = live.life.attempt();
        let submitted = &live.request.submitted;
        let manifest = self.view.manifest(&submitted.function);
        let timeout = submitted.options.timeout_ms;
        let token = self.options.hub.token(&JobGrant {
            pair: &live.pair(),
            worker_id: live.spot.as_ref().map_or("", |spot| &spot.worker_id),
            tenant: &submitted.tenant,
            kind: manifest.as_ref().map_or("", |manifest| &manifest.kind),
            timeout: u64::try_from(timeout).ok().filter(|ms| *ms > 0).map(Duration::from_millis),
        });
        let message = Msg::RunJob(run_job(live, token, snapshots));
        self.timers.sent(self.now, sequence, attempt);
        self.send(worker_key, message);
    }

    /// Tells a worker to stop an attempt, if its stream is up.
    pub(super) fn send_cancel(&mut self, worker_key: WorkerKey, request_id: &str, attempt: i64) {
        self.send(worker_key, Msg::CancelJob(pb::CancelJob { request_id: request_id.to_owned(), attempt }));
    }

    /// Queues a message for a worker whose stream is up. A worker that does not read loses its stream: its requests
    /// then wait for it to come back like after any other break.
    pub(super) fn send(&mut self, worker_key: WorkerKey, message: Msg) {
        let Some(worker) = self.roster.get_mut(worker_key) else { return };
        let Some(link) = &worker.link else { return };
        if link.outbound.send(message).is_ok() {
            return;
        }
        warn!(worker = %worker.id, "worker does not read its stream; ending it");
        let Some(link) = worker.link.take() else { return };
        let session = link.session;
        link.outbound.cut(Status::unavailable("worker does not read its stream"));
        self.detached(worker_key, session, false);
    }
}

fn run_job(live: &Live, capability_token: String, snapshots: BTreeMap<String, pb::Snapshot>) -> pb::RunJob {
    let submitted = &live.request.submitted;
    let models = submitted.options.models.iter().map(|model| pb::ModelBinding {
        slot: model.slot.clone(),
        r#ref: model.r#ref.clone(),
        loras: model
            .loras
            .iter()
            .map(|lora| pb::LoraOverlay { r#ref: lora.r#ref.clone(), weight: lora.weight })
            .collect(),
    });
    pb::RunJob {
        request_id: submitted.id.as_str().to_owned(),
        attempt: live.life.attempt().0,
        function_name: submitted.function.as_str().to_owned(),
        input_payload: submitted.payload.clone(),
        timeout_ms: submitted.options.timeout_ms,
        tenant: submitted.tenant.clone(),
        invoker_id: submitted.tenant.clone(),
        capability_token,
        output_mode: pb::OutputMode::Url.into(),
        compute: None,
        models: models.collect(),
        snapshots,
    }
}
