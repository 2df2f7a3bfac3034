//! One piece of work for everybody who wants the same thing at the same time (rule 6.11). Owns the tasks' handles.
//!
//! The work is a task of its own: one of those who wait may go away, and the others still get the result. When all have gone
//! away, it is dropped. A result is given to those who wait and then forgotten, good or bad.

use std::{
    collections::HashMap,
    hash::Hash,
    sync::{Arc, Weak},
};

use gen_worker_tasks::{Cancel, Scope};
use parking_lot::Mutex;
use tokio::sync::watch;

use crate::{
    fetch_error::FetchError,
    progress::{Progress, Transferred},
};

/// Work in progress by key.
pub(crate) struct Flights<K, T> {
    running: Arc<Mutex<HashMap<K, Weak<Flight<T>>>>>,
    scope: Arc<Scope>,
}

struct Flight<T> {
    state: watch::Receiver<State<T>>,
    cancel: Cancel,
}

struct State<T> {
    so_far: Transferred,
    end: Option<Result<T, FetchError>>,
}

/// Tells everybody who waits how far the work is.
pub(crate) struct Reporter<T>(watch::Sender<State<T>>);

impl<T> Reporter<T> {
    fn end(&self, result: Result<T, FetchError>) {
        self.0.send_modify(|state| state.end = Some(result));
    }
}

impl<T: Send + Sync> Progress for Reporter<T> {
    fn transferred(&self, so_far: Transferred) {
        self.0.send_if_modified(|state| std::mem::replace(&mut state.so_far, so_far) != so_far);
    }
}

impl<T> Drop for Flight<T> {
    fn drop(&mut self) {
        self.cancel.kill();
    }
}

impl<K, T> Flights<K, T>
where
    K: Clone + Eq + Hash + Send + 'static,
    T: Clone + Send + Sync + 'static,
{
    pub(crate) fn new(scope: Arc<Scope>) -> Self {
        Self { running: Arc::default(), scope }
    }

    /// The result of the work for `key`: of the one that runs, else of `work`, which starts now.
    ///
    /// # Cancel safety
    /// May be dropped; the work is dropped with the last who waits for it.
    pub(crate) async fn join<F>(
        &self,
        key: K,
        progress: &dyn Progress,
        work: impl FnOnce(Arc<Reporter<T>>) -> F,
    ) -> Result<T, FetchError>
    where
        F: Future<Output = Result<T, FetchError>> + Send + 'static,
    {
        let flight = self.board(key, work);
        let mut state = flight.state.clone();
        loop {
            let (so_far, end) = {
                let state = state.borrow_and_update();
                (state.so_far, state.end.clone())
            };
            if so_far != Transferred::default() {
                progress.transferred(so_far);
            }
            if let Some(end) = end {
                return end;
            }
            if state.changed().await.is_err() {
                return Err(FetchError::Closed);
            }
        }
    }

    fn board<F>(&self, key: K, work: impl FnOnce(Arc<Reporter<T>>) -> F) -> Arc<Flight<T>>
    where
        F: Future<Output = Result<T, FetchError>> + Send + 'static,
    {
        let mut running = self.running.lock();
        if let Some(flight) = running.get(&key).and_then(Weak::upgrade) {
            return flight;
        }
        // What nobody waits for any more leaves with the next start, so the table is as large as what runs.
        running.retain(|_, flight| flight.strong_count() > 0);
        let (sender, state) = watch::channel(State { so_far: Transferred::default(), end: None });
        let cancel = self.scope.cancel().child();
        let flight = Arc::new(Flight { state, cancel: cancel.clone() });
        let this = Arc::downgrade(&flight);
        running.insert(key.clone(), this.clone());
        drop(running);
        let reporter = Arc::new(Reporter(sender));
        let (work, table) = (work(Arc::clone(&reporter)), Arc::clone(&self.running));
        self.scope.spawn("flight", async move {
            let result = tokio::select! {
                biased;
                () = cancel.killed() => return,
                result = work => result,
            };
            // Forgotten first: who comes after the end starts anew.
            let mut running = table.lock();
            if running.get(&key).is_some_and(|flight| flight.ptr_eq(&this)) {
                running.remove(&key);
            }
            drop(running);
            reporter.end(result);
        });
        flight
    }
}

#[cfg(test)]
mod tests;
