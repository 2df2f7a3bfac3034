//! Work that is done once for all who ask at the same time, and goes on when they have gone. Owns what is under way.

use std::{collections::HashMap, fmt, hash::Hash, sync::Arc};

use futures::{
    FutureExt as _,
    future::{BoxFuture, Shared},
};
use gen_worker_tasks::Scope;
use parking_lot::Mutex;
use tokio::sync::oneshot;

/// Most works at once. Each is a task that waits for its turn at the disk, but those who asked may be gone, so that nothing else
/// would bound them.
const FLIGHTS_MAX: usize = 256;

/// The outcome, once it is known. None when the hub ends before.
pub(crate) type Flight<T> = Shared<BoxFuture<'static, Option<T>>>;

type Running<K, T> = Arc<Mutex<HashMap<K, Flight<T>>>>;

/// Works by their keys.
pub(crate) struct Flights<K, T> {
    running: Running<K, T>,
}

/// Takes a work from the list when it is over, however it ends.
struct Landing<K: Hash + Eq, T> {
    running: Running<K, T>,
    key: K,
}

impl<K, T> Flights<K, T>
where
    K: Hash + Eq + Clone + Send + 'static,
    T: Clone + Send + Sync + 'static,
{
    /// The work under `key` that is under way, else `work`, which begins in `scope`. None when there are too many.
    pub fn join(&self, scope: &Scope, name: &'static str, key: K, work: BoxFuture<'static, T>) -> Option<Flight<T>> {
        let mut running = self.running.lock();
        if let Some(flight) = running.get(&key) {
            return Some(flight.clone());
        }
        if running.len() >= FLIGHTS_MAX {
            return None;
        }
        let (tell, told) = oneshot::channel();
        let flight = told.map(Result::ok).boxed().shared();
        running.insert(key.clone(), flight.clone());
        let landing = Landing { running: Arc::clone(&self.running), key };
        scope.spawn(name, async move {
            let outcome = work.await;
            // Off the list before it is told: who asks then begins anew.
            drop(landing);
            drop(tell.send(outcome));
        });
        Some(flight)
    }
}

impl<K: Hash + Eq, T> Drop for Landing<K, T> {
    fn drop(&mut self) {
        self.running.lock().remove(&self.key);
    }
}

impl<K, T> Default for Flights<K, T> {
    fn default() -> Self {
        Self { running: Arc::default() }
    }
}

impl<K, T> fmt::Debug for Flights<K, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Flights").field("running", &self.running.lock().len()).finish()
    }
}

#[cfg(test)]
mod tests;
