//! Loads whose instances live in a host of their own, one in each of its places. Owns nothing.

use std::{collections::HashMap, sync::Arc};

use gen_worker_proto::pb;
use tokio::time::Instant;

use super::{Entry, Loader, no_room, split};
use crate::{
    Instance, WorkerError,
    instance::{EmptyPlace, InstanceHost, Place, SetupTimes},
    ledger::ColdStart,
    residency::{Memory, NoRoom},
};

/// How a try in one place ended.
enum Tried {
    /// An instance that came back meanwhile took the place.
    CameBack(Instance),
    /// A new one.
    Made(Instance, ColdStart),
    /// It has no room beside those that are in use.
    NoRoom(NoRoom),
}

impl Loader {
    /// An instance in a place of `host`. Whoever waits for a place does not hold up the loads of others, and that wait
    /// is none for a load; nor is waiting for another of its instances, where one more has no room.
    pub(super) async fn load_hosted(
        &self,
        entry: &Entry,
        host: &Arc<dyn InstanceHost>,
        snapshots: &HashMap<String, pb::Snapshot>,
        device: usize,
    ) -> Result<(Instance, ColdStart), WorkerError> {
        let asked = Instant::now();
        loop {
            let place = match host.place().await? {
                Place::Ready(instance) => {
                    return Ok((instance, ColdStart { queued: asked.elapsed(), ..ColdStart::default() }));
                }
                Place::Empty(place) => place,
            };
            let queued = asked.elapsed();
            match self.fill(entry, place, snapshots, device).await? {
                Tried::CameBack(instance) => {
                    return Ok((instance, ColdStart { queued: asked.elapsed(), ..ColdStart::default() }));
                }
                Tried::Made(instance, cold) => return Ok((instance, ColdStart { queued, ..cold })),
                // The place is free again: a sibling that comes back may be had in it.
                Tried::NoRoom(error) if !host.one_comes_back().await => return Err(no_room(error)),
                Tried::NoRoom(_) => {}
            }
        }
    }

    /// Makes an instance in `place`, unless there is one by the time there could be another.
    async fn fill(
        &self,
        entry: &Entry,
        place: Box<dyn EmptyPlace>,
        snapshots: &HashMap<String, pb::Snapshot>,
        device: usize,
    ) -> Result<Tried, WorkerError> {
        let began = Instant::now();
        // What is fetched, what room is made for and what is set up are the same, whatever is resolved meanwhile.
        let models = entry.cell.next_models();
        let (bytes, _held) = self.fetch(&models, snapshots).await?;
        let download = began.elapsed();
        let made =
            |(instance, times): (Instance, SetupTimes)| Tried::Made(instance, split(began.elapsed(), download, times));
        let needs = self.needs(entry, &models, bytes, device);
        let footprint = Memory { ram_bytes: needs.ram_bytes, ..Memory::of_device(device, needs.vram_bytes) };
        let order = || entry.cell.order(&models, entry.device(device), snapshots, footprint.clone());
        if bytes == 0 {
            // What needs no room needs no turn.
            return place.fill(self.models.clone(), order()).await.map(made);
        }
        let turn = self.turn.lock().await;
        // The turn may have taken long. Whoever came back would otherwise have to go for its own twin.
        let place = match place.claim() {
            Ok(instance) => return Ok(Tried::CameBack(instance)),
            Err(place) => place,
        };
        if let Err(error) = self.make_room(needs, entry).await {
            return Ok(Tried::NoRoom(error));
        }
        self.in_turn(&models, turn, place.fill(self.models.clone(), order())).await.map(|(filled, _turn)| made(filled))
    }
}
