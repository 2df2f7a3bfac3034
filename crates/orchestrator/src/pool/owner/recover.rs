//! Reading back what an earlier process left: everything unfinished, and the functions ever seen.

use std::sync::Arc;

use tracing::info;

use super::{Owner, ending::Detail};
use crate::{
    lifecycle::{Happened, Life},
    pool::{
        event::Event,
        live::{Live, Recorded, Spot},
        ring::Ring,
        timers::Timer,
    },
    queue::{LIST_ROWS_MAX, QueueError},
    request::{Request, State},
};

/// The store could not be read at the start.
#[derive(Debug, thiserror::Error)]
#[error("unfinished requests could not be read back")]
pub struct RecoverError(#[from] QueueError);

impl Owner {
    /// Rebuilds the pool from the store. Requests that were on a worker wait the reconnect window for it; the
    /// others are in line at once.
    pub(crate) async fn recover(&mut self) -> Result<(), RecoverError> {
        for function in self.store.known_functions().await? {
            self.lanes.key(&function);
        }
        drop(self.lanes.take_new());
        let mut after = 0;
        let mut count = 0_usize;
        loop {
            let page = self.store.unfinished(after, LIST_ROWS_MAX).await?;
            let Some(last) = page.last() else { break };
            after = last.sequence;
            count += page.len();
            for mut request in page {
                request.sequence = self.numbers.stored(request.sequence);
                self.restore(request);
            }
        }
        self.await_workers();
        if count > 0 {
            info!(requests = count, "unfinished requests read back");
        }
        Ok(())
    }

    /// Puts a stored request into memory and in line, or with the worker that has it. Its sequence is the pool's.
    pub(super) fn restore(&mut self, request: Request) {
        let lane = self.lanes.key(&request.submitted.function);
        let failures = u8::try_from(request.attempts.len()).unwrap_or(u8::MAX);
        let (attempts_max, cancel) = (request.submitted.options.max_attempts, request.cancel_requested);
        let life = Life::recovered(request.state, request.attempt, failures, attempts_max, cancel);
        let on_worker = life.is_on_worker();
        let tick = |at| self.clock.tick(at);
        let submitted = tick(request.submitted.created_at).min(self.now);
        let sequence = request.sequence;
        let mut live = Live {
            lane,
            submitted,
            dispatched: request.assigned_at.map_or(submitted, tick).min(self.now),
            accepted: request.started_at.map(|at| tick(at).min(self.now)),
            worker: None,
            avoid: None,
            sends: 0,
            is_light: false,
            carried: Vec::new(),
            recorded: Recorded { assigned: on_worker, started: request.state == State::Running },
            decided: None,
            waiters: Vec::new(),
            cancelers: Vec::new(),
            asked: Vec::new(),
            ring: Ring::default(),
            subscribers: Vec::new(),
            life,
            state: request.state,
            spot: request.assigned_at.zip(request.worker_id.as_deref()).map(|(assigned_at, worker_id)| Spot {
                worker_id: worker_id.into(),
                assigned_at,
                started_at: request.started_at,
            }),
            behind: false,
            request: Arc::new(request),
        };
        let request = Arc::clone(&live.request);
        let id = live.ring.next_id(request.attempt.0);
        let worker_id: Option<Arc<str>> = on_worker.then(|| request.worker_id.clone().unwrap_or_default().into());
        let at = request.started_at.or(request.assigned_at).unwrap_or(request.submitted.created_at);
        live.publish(Event::State { id, state: request.state, worker_id: worker_id.clone(), at });
        self.ring_bytes += live.ring.bytes();
        if let Some(deadline) = request.submitted.options.deadline {
            self.timers.at(self.clock.tick(deadline), Timer::Deadline(sequence));
        }
        if let Some(worker_id) = worker_id {
            let key = self.roster.key(&worker_id);
            live.worker = Some(key);
            if let Some(worker) = self.roster.get_mut(key) {
                worker.add_job(sequence, &request.submitted.function);
            }
            self.lanes.count_running(lane, true);
        } else {
            self.lanes.enter(lane, live.place(), live.waiting());
            self.lanes.count_queued(lane, true);
        }
        self.table.insert(live);
        self.plan_needed = true;
        self.watch_overtime(sequence);
        if cancel && !on_worker {
            self.happen(sequence, Happened::Cancel, Detail::default());
        }
    }

    /// Gives the workers of recovered requests their time to come back.
    fn await_workers(&mut self) {
        // Reading back may have taken a while, in which no worker could connect.
        self.now = self.clock.now();
        self.recovered = self.now;
        let due = self.now.after(self.options.reconnect_window);
        let away: Vec<_> =
            self.roster.iter().map(|(key, worker)| (key, worker.epoch, Arc::clone(&worker.cell))).collect();
        for (key, epoch, cell) in away {
            self.timers.at(due, Timer::Away(key, epoch));
            self.view.put_worker(cell);
        }
    }
}
