//! One flavor for another: an instance that was made from other models than the next one is goes, once the next one
//! can be had. Owns nothing.

use std::{collections::HashMap, sync::Arc};

use gen_worker_proto::pb;
use tokio::time::timeout;

use super::{Loader, no_room, room::SHUTDOWN_MAX};
use crate::{InstanceCell, WorkerError, instance::Models};

/// Why an instance stays where it is.
#[derive(Debug)]
pub(crate) enum NoWay {
    /// Somebody uses it.
    InUse,
    /// The models of the next one cannot be had, or have no room even without it.
    Next(WorkerError),
}

impl Loader {
    /// Lets the instance of `cell` go that is there if the next one would be made from other models. Before that these
    /// are fetched and have to fit: what works is not given up for what cannot be had (11.9). Gives the models of those
    /// that went.
    ///
    /// # Errors
    /// [`NoWay`]; the instance stays.
    ///
    /// # Cancel safety
    /// May be dropped; a shutdown under way goes on.
    pub(crate) async fn make_way(
        &self,
        cell: &Arc<InstanceCell>,
        snapshots: &HashMap<String, pb::Snapshot>,
        device: usize,
    ) -> Result<Vec<Models>, NoWay> {
        let next = cell.next_models();
        let Some(entry) = self.entry(cell).filter(|_| is_other(cell, &next)) else { return Ok(Vec::new()) };
        if cell.is_in_use() {
            return Err(NoWay::InUse);
        }
        let (bytes, _held) = self.fetch(&next, snapshots).await.map_err(NoWay::Next)?;
        let _turn = self.turn.lock().await;
        if !is_other(cell, &next) {
            return Ok(Vec::new());
        }
        self.fits_without(entry, self.needs(entry, &next, bytes, device))
            .await
            .map_err(|error| NoWay::Next(no_room(error)))?;
        let held = cell.all_models();
        match timeout(SHUTDOWN_MAX, cell.shutdown_if_idle()).await {
            Ok(false) => Err(NoWay::InUse),
            // One that takes long goes all the same, and the load waits for it.
            Ok(true) | Err(_) => Ok(held),
        }
    }
}

/// Whether there is an instance of other models than `next`.
fn is_other(cell: &InstanceCell, next: &Models) -> bool {
    cell.is_ready() && cell.all_models().iter().any(|held| held != next)
}
