//! What requests hear of the models that they wait for: where the hub and the workers are with them. Told to who listens, and not kept.

use gen_worker_proto::FunctionName;

use super::{Owner, wants::Want};
use crate::{
    lifecycle::Phase,
    pool::{
        event::Event,
        lanes::LaneKey,
        live::{Live, Sequence},
        roster::{Counted, WorkerKey},
        snapshots::Said,
    },
    session::report::ModelReport,
};

/// Most waiting requests of one function that hear about a model on its way.
const PHASE_READERS_MAX: usize = 1_000;

/// What is told of a model that no worker is at yet.
fn phase(reference: &str, state: &str) -> Event {
    let value = serde_json::json!({
        "worker_id": null, "ref": reference, "state": state, "bytes_done": 0, "bytes_total": 0,
    });
    Event::Phase { value }
}

impl Owner {
    /// Tells requests that wait for a loading worker how its models move.
    pub(super) fn tell_held(&mut self, key: WorkerKey, event: &ModelReport) {
        let Some(worker) = self.roster.get(key) else { return };
        let value = serde_json::json!({
            "worker_id": &*worker.id,
            "ref": event.r#ref,
            "state": event.state.as_str_name().trim_start_matches("MODEL_STATE_").to_ascii_lowercase(),
            "bytes_done": event.bytes_done,
            "bytes_total": event.bytes_total,
        });
        let loading = worker.counted.iter().filter(|(_, kind)| *kind == Counted::Loading);
        let lanes: Vec<LaneKey> = loading.map(|(lane, _)| *lane).collect();
        let event = Event::Phase { value };
        lanes.into_iter().for_each(|lane| self.tell_lane(lane, &event));
    }

    /// Tells requests that wait for a function what the hub says of a model that it declares.
    pub(super) fn tell_waiting(&mut self, function: &FunctionName, reference: &str, state: &str) {
        if self.lanes.is_awaited(function) {
            let lane = self.lanes.key(function);
            self.tell_lane(lane, &phase(reference, state));
        }
    }

    fn tell_lane(&mut self, lane: LaneKey, event: &Event) {
        let Some(lane) = self.lanes.get(lane) else { return };
        for place in lane.waiting.keys().take(PHASE_READERS_MAX) {
            if let Some(live) = self.table.get_mut(place.sequence) {
                live.publish_passing(event);
            }
        }
    }

    /// Tells a request on its way to a worker what the hub says of one of its models.
    pub(super) fn tell_phase(&mut self, sequence: Sequence, want: Option<&Want>, state: &str) {
        if let (Some(live), Some(want)) = (self.table.get_mut(sequence), want) {
            live.publish_passing(&phase(&want.r#ref, state));
        }
    }

    /// What a reader who comes now would have heard of the models that a request waits for.
    pub(super) fn phases_of(&self, live: &Live) -> Vec<Event> {
        let function = &live.request.submitted.function;
        if live.life.phase() != Phase::Queued || !self.lanes.is_awaited(function) || !self.options.hub.is_present() {
            return Vec::new();
        }
        let needs = self.declared.get(function).into_iter().flat_map(|needs| needs.of_hub());
        let told = needs.map(|(need, key)| {
            let state = match self.snapshots.get(key, self.now) {
                Said::Found(_) => "resolved",
                Said::Hidden | Said::Absent => "not_in_hub",
                Said::Silent if self.snapshots.fresh_until(key).is_some() => "hub_unavailable",
                Said::Silent => "resolving",
            };
            phase(&need.r#ref, state)
        });
        told.collect()
    }
}
