//! Models of attempts on their way to a worker become snapshots (O24). The hub is a future that the loop polls.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use futures::FutureExt as _;
use gen_worker_proto::{Attempt, pb};
use prost::Message as _;
use tracing::warn;

use super::{
    Owner,
    ending::Detail,
    store::Done,
    wants::{Origin, Want},
};
use crate::{
    hub::{HubUnavailable, Lookup},
    lifecycle::{Happened, Status},
    pool::{
        clock::Tick,
        live::Sequence,
        roster::WorkerKey,
        snapshots::{Asked, ModelKey, Said},
    },
};

/// How long the hub may take for one answer.
const RESOLVE_LIMIT: Duration = Duration::from_secs(5);

/// Pause before an attempt is placed again whose models the hub could not tell of.
const HUB_PAUSE: Duration = Duration::from_secs(2);

/// Bytes of all snapshots of one job: it fits into a message beside the largest payload.
const SNAPSHOTS_BYTES_MAX: usize = 48 * 1024 * 1024;

/// What workers say when the addresses of a model are over.
const EXPIRED: &str = "model download url expired";

/// What a peer says, for good, when it got no files (wire contract, 10).
const MISSING: &str = "MissingSnapshotError";

/// The snapshots that go with a job.
#[derive(Debug, Default)]
pub(super) struct Luggage {
    pub(super) snapshots: BTreeMap<String, pb::Snapshot>,
    /// Whether files were left out because the worker has them.
    pub(super) is_light: bool,
}

/// What stands between an attempt and its worker.
enum Obstacle {
    /// The hub has to answer first.
    Unanswered(ModelKey, Asked),
    /// The hub does not say.
    Silent(String),
    /// The request names what it cannot have.
    Refused(String),
    /// The endpoint declares what is not there.
    Unservable(String),
}

impl Owner {
    /// The models of an attempt that is about to be sent. None when it cannot be sent now: it goes on when the hub has answered, goes
    /// back into the line, or is over.
    pub(super) fn luggage(&mut self, sequence: Sequence) -> Option<Luggage> {
        let live = self.table.get(sequence)?;
        let (worker, attempt, since, wants) = (live.worker?, live.life.attempt(), live.submitted, self.wants(live));
        if wants.is_empty() {
            return Some(Luggage::default());
        }
        match self.pack(&wants, worker, (sequence, attempt), since) {
            Ok(luggage) => {
                if let Some(worker) = self.roster.get_mut(worker) {
                    wants.iter().for_each(|want| worker.held.touch(&want.r#ref, self.now));
                }
                Some(luggage)
            }
            Err(obstacle) => {
                self.stopped_by(obstacle, &wants, sequence, attempt);
                None
            }
        }
    }

    fn pack(
        &mut self,
        wants: &[Want],
        worker: WorkerKey,
        by: (Sequence, Attempt),
        since: Tick,
    ) -> Result<Luggage, Obstacle> {
        for want in wants {
            // What an endpoint declares and its worker has is not held up by the hub.
            if want.origin == Origin::Declared && self.has(worker, &want.r#ref) {
                self.refresh_model(&want.key);
                continue;
            }
            match self.snapshots.want(&want.key, by, since, self.now) {
                Asked::Known => {}
                asked => return Err(Obstacle::Unanswered(want.key.clone(), asked)),
            }
        }
        let mut luggage = Luggage::default();
        let mut bytes = 0_usize;
        for want in wants {
            let is_held = self.has(worker, &want.r#ref);
            let said = self.snapshots.get(&want.key, self.now);
            let Some(snapshot) = files(want, said, is_held)? else { continue };
            let held = self.roster.get(worker).and_then(|worker| worker.held.digest(&want.r#ref));
            if held.is_some_and(|held| held == snapshot.digest) && want.origin != Origin::Source {
                luggage.is_light = true;
                continue;
            }
            bytes = bytes.saturating_add(snapshot.encoded_len());
            if bytes > SNAPSHOTS_BYTES_MAX {
                return Err(Obstacle::Refused(format!("models of one request have too many files at {}", want.r#ref)));
            }
            luggage.snapshots.insert(want.r#ref.clone(), snapshot.clone());
        }
        Ok(luggage)
    }

    fn has(&self, worker: WorkerKey, reference: &str) -> bool {
        self.roster.get(worker).is_some_and(|worker| worker.held.has(reference))
    }

    fn stopped_by(&mut self, obstacle: Obstacle, wants: &[Want], sequence: Sequence, attempt: Attempt) {
        match obstacle {
            Obstacle::Unanswered(key, asked) => {
                // All of them at once; who waits is called for the first.
                wants.iter().filter(|want| want.key != key).for_each(|want| self.refresh_model(&want.key));
                self.tell_phase(sequence, wants.iter().find(|want| want.key == key), "resolving");
                if asked == Asked::Ask {
                    self.ask_hub(key);
                }
            }
            Obstacle::Silent(reference) => {
                self.tell_phase(sequence, wants.iter().find(|want| want.r#ref == reference), "hub_unavailable");
                let detail = Detail { pause: HUB_PAUSE, ..Detail::text("the hub cannot be asked for a model") };
                self.happen(sequence, Happened::Returned(attempt), detail);
            }
            Obstacle::Refused(message) => {
                self.happen(sequence, Happened::Result(attempt, Status::Invalid), Detail::text(&message));
            }
            Obstacle::Unservable(message) => {
                self.happen(sequence, Happened::NoWorker, Detail::text(&message));
            }
        }
    }

    /// Asks the hub for a ref whose answer is not fresh. Nobody waits for it.
    pub(super) fn refresh_model(&mut self, key: &ModelKey) {
        if self.snapshots.refresh(key, self.now) {
            self.ask_hub(key.clone());
        }
    }

    fn ask_hub(&mut self, key: ModelKey) {
        let hub = Arc::clone(&self.options.hub);
        let ask = async move {
            let answer = tokio::time::timeout(RESOLVE_LIMIT, hub.resolve(&key.tenant, &key.reference)).await;
            Done::Resolved(key, answer.unwrap_or(Err(HubUnavailable)))
        };
        self.ops.push(ask.boxed());
    }

    /// The hub has answered: who waited goes on, if it is still wanted.
    pub(super) fn resolved(&mut self, key: ModelKey, answer: Result<Lookup, HubUnavailable>) {
        let is_declared = self.learned(&key, &answer);
        for (sequence, attempt) in self.snapshots.answered(key, answer, self.now) {
            self.recorded(sequence, attempt);
        }
        if is_declared {
            self.fail_unplaceable();
        }
    }

    /// What a result says of the models that went with the job, or did not. Gives the status that it counts as: a peer that wanted
    /// files which were left out gets them, and another try.
    pub(super) fn models_after(&mut self, sequence: Sequence, status: Status, message: &str) -> Status {
        let Some(live) = self.table.get_mut(sequence) else { return status };
        let (carried, is_light) = (std::mem::take(&mut live.carried), live.is_light);
        let Some(worker) = live.worker else { return status };
        if status == Status::Ok {
            if let Some(worker) = self.roster.get_mut(worker) {
                carried.iter().for_each(|(reference, digest)| worker.held.learn(reference, digest));
            }
            return status;
        }
        if !matches!(status, Status::Retryable | Status::Fatal) {
            return status;
        }
        let Some(live) = self.table.get(sequence) else { return status };
        let wants = self.wants(live);
        if is_light && let Some(worker) = self.roster.get_mut(worker) {
            wants.iter().for_each(|want| worker.held.distrust(&want.r#ref));
        }
        if message == EXPIRED {
            wants.iter().for_each(|want| self.snapshots.forget(&want.key));
        }
        if is_light && status == Status::Fatal && message.contains(MISSING) {
            warn!(message, "a worker lacks a model that it told of");
            return Status::Retryable;
        }
        status
    }
}

/// The files of a model that the hub gave, if any are needed.
fn files<'a>(want: &Want, said: &'a Said, is_held: bool) -> Result<Option<&'a pb::Snapshot>, Obstacle> {
    let reference = &want.r#ref;
    match (said, &want.origin) {
        (Said::Found(snapshot), _) => Ok(Some(snapshot)),
        (_, Origin::Declared) if is_held => Ok(None),
        (Said::Hidden | Said::Absent, Origin::Declared) => Err(Obstacle::Unservable(not_in_the_hub(reference))),
        (Said::Absent, Origin::Unclear(_) | Origin::Elsewhere(_)) | (Said::Silent, Origin::Elsewhere(_)) => Ok(None),
        (Said::Hidden | Said::Absent, Origin::Named(place) | Origin::Unclear(place) | Origin::Elsewhere(place)) => {
            Err(refused(place, reference))
        }
        (Said::Hidden | Said::Absent, Origin::Source) => Err(refused("payload.source", reference)),
        // Nobody can say whether the tenant may have it: its worker might, for somebody else.
        (Said::Silent, _) => Err(Obstacle::Silent(reference.clone())),
    }
}

fn refused(place: &str, reference: &str) -> Obstacle {
    Obstacle::Refused(format!("{place}: the hub has no model {reference} for this tenant"))
}

/// The one text for a model that is declared and not there.
pub(super) fn not_in_the_hub(reference: &str) -> String {
    format!("the hub does not have model {reference}, which this function declares")
}
