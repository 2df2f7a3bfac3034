//! Taking requests in: ids that are in memory are answered here, durable requests go through the store first.

use std::sync::{Arc, atomic::Ordering::Relaxed};

use gen_worker_proto::RequestId;
use tokio::sync::oneshot;

use super::{Owner, copy_of};
use crate::{
    lifecycle::Life,
    pool::{
        clock::Tick,
        event::Event,
        live::{Live, Recorded},
        ring::Ring,
        timers::Timer,
        view::add,
        views::{PoolError, SubmitError, Submitted},
    },
    queue::{Change, Enqueued, QueueError},
    request::{Durability, NewRequest, Request, State},
};

/// Answer to one submit.
pub(super) type Reply = oneshot::Sender<Result<Vec<Result<Submitted, SubmitError>>, PoolError>>;

/// A submit some of whose requests are on their way to the disk.
#[derive(Debug)]
pub(super) struct Ticket {
    reply: Reply,
    results: Vec<Option<Result<Submitted, SubmitError>>>,
    missing: usize,
}

/// A request on its way to the disk, and where its result goes.
#[derive(Debug)]
pub(super) struct Incoming {
    pub(super) request: NewRequest,
    pub(super) place: TicketPlace,
}

/// Where the result of an [`Incoming`] goes.
#[derive(Clone, Copy, Debug)]
pub(super) struct TicketPlace {
    ticket: u64,
    index: usize,
    at: Tick,
}

impl Owner {
    pub(super) fn submit(&mut self, requests: Vec<NewRequest>, at: Tick, reply: Reply) {
        self.last_ticket += 1;
        let ticket = self.last_ticket;
        let mut results = Vec::with_capacity(requests.len());
        let mut missing = 0;
        for (index, request) in requests.into_iter().enumerate() {
            results.push(match self.known(&request) {
                Some(result) => Some(result),
                None if request.options.durability == Durability::Memory => {
                    let sequence = self.numbers.memory(|sequence| self.table.get(sequence).is_some());
                    let request = self.admit(Request::arrived(request, sequence), at);
                    Some(Ok(Submitted::Created(request)))
                }
                None => {
                    self.work.incoming.push(Incoming { request, place: TicketPlace { ticket, index, at } });
                    add(&self.view.incoming);
                    missing += 1;
                    None
                }
            });
        }
        let ticket_entry = Ticket { reply, results, missing };
        if missing == 0 { ticket_entry.answer() } else { drop(self.tickets.insert(ticket, ticket_entry)) }
    }

    /// The answer for an id that is in memory (P-2).
    fn known(&mut self, request: &NewRequest) -> Option<Result<Submitted, SubmitError>> {
        let live = self.table.find_mut(request.id.as_str())?;
        let submitted = &live.request.submitted;
        let equal = submitted.body_digest == request.body_digest && submitted.tenant == request.tenant;
        Some(if equal { Ok(Submitted::Existing(live.shown())) } else { Err(SubmitError::Conflict) })
    }

    /// Puts a request that was just taken in into memory and in line.
    fn admit(&mut self, request: Request, at: Tick) -> Arc<Request> {
        let lane = self.lanes.key(&request.submitted.function);
        let request = Arc::new(request);
        let mut live = Live {
            life: Life::new(request.submitted.options.max_attempts),
            request: Arc::clone(&request),
            state: State::Queued,
            spot: None,
            behind: false,
            lane,
            submitted: at,
            dispatched: at,
            accepted: None,
            worker: None,
            avoid: None,
            sends: 0,
            is_light: false,
            carried: Vec::new(),
            recorded: Recorded::default(),
            decided: None,
            waiters: Vec::new(),
            cancelers: Vec::new(),
            asked: Vec::new(),
            ring: Ring::default(),
            subscribers: Vec::new(),
        };
        let id = live.ring.next_id(0);
        live.publish(Event::State { id, state: State::Queued, worker_id: None, at: request.submitted.created_at });
        self.ring_bytes += live.ring.bytes();
        if let Some(deadline) = request.submitted.options.deadline {
            self.timers.at(self.clock.tick(deadline), Timer::Deadline(request.sequence));
        }
        self.lanes.enter(lane, live.place(), live.waiting());
        self.awaits_load(lane);
        self.lanes.count_queued(lane, true);
        self.table.insert(live);
        self.plan_needed = true;
        add(&self.view.totals.submitted);
        request
    }

    /// The store has taken a batch in, or could not.
    pub(super) fn enqueued(&mut self, places: Vec<TicketPlace>, outcome: Result<Vec<Enqueued>, QueueError>) {
        self.view.incoming.fetch_sub(places.len() as u64, Relaxed);
        match outcome {
            Ok(entries) => {
                for (place, entry) in places.into_iter().zip(entries) {
                    let result = self.entered(entry, place.at);
                    self.answer(place, result);
                }
            }
            Err(error) => {
                for place in places {
                    if let Some(ticket) = self.tickets.remove(&place.ticket) {
                        drop(ticket.reply.send(Err(PoolError::Store(copy_of(&error)))));
                    }
                }
            }
        }
    }

    fn entered(&mut self, entry: Enqueued, at: Tick) -> Result<Submitted, SubmitError> {
        match entry {
            Enqueued::Created(mut request) => {
                request.sequence = self.numbers.stored(request.sequence);
                if let Some(live) = self.table.find_mut(request.submitted.id.as_str()) {
                    // The answer to its repeat, in a later batch, may have come before and taken up this very row.
                    let same = live.request.sequence == request.sequence;
                    return if same { Ok(Submitted::Created(live.shown())) } else { Err(self.collided(&request)) };
                }
                Ok(Submitted::Created(self.admit(*request, at)))
            }
            Enqueued::Existing(mut request) => {
                request.sequence = self.numbers.stored(request.sequence);
                let id = request.submitted.id.clone();
                if request.state == State::Queued && self.table.find(id.as_str()).is_none() {
                    // A commit whose outcome was unclear was reported as failed, and kept after all: the repeat
                    // that is answered here is what takes the request up.
                    self.restore((*request).clone());
                }
                let live = self.table.find_mut(id.as_str());
                Ok(Submitted::Existing(live.map_or_else(|| Arc::new(*request), Live::shown)))
            }
            Enqueued::Conflict => Err(SubmitError::Conflict),
        }
    }

    /// A memory request took the id while the durable one was being written. The first one here keeps it; the row
    /// is ended, so that it does not come up after a restart.
    fn collided(&mut self, request: &Request) -> SubmitError {
        let ending = self.ending_of_row(request);
        let pair = gen_worker_proto::Pair { request_id: request.submitted.id.clone(), attempt: request.attempt };
        self.work.changes.push(Change::Finish { pair, ending: Box::new(ending) });
        SubmitError::Conflict
    }

    fn answer(&mut self, place: TicketPlace, result: Result<Submitted, SubmitError>) {
        let Some(ticket) = self.tickets.get_mut(&place.ticket) else { return };
        if let Some(slot) = ticket.results.get_mut(place.index) {
            *slot = Some(result);
            ticket.missing -= 1;
        }
        if ticket.missing == 0
            && let Some(ticket) = self.tickets.remove(&place.ticket)
        {
            ticket.answer();
        }
    }

    /// Answers a wait at the end of the request, or at once.
    pub(super) fn wait(&mut self, id: &RequestId, reply: crate::pool::live::Waiter) {
        /// Waiters kept before those that gave up are looked for.
        const LOOK_FOR_GONE: usize = 16;
        match self.table.find_mut(id.as_str()) {
            None => drop(reply.send(None)),
            Some(live) if live.state.is_terminal() => drop(reply.send(Some(live.shown()))),
            Some(live) => {
                if live.waiters.len() >= LOOK_FOR_GONE {
                    live.waiters.retain(|waiter| !waiter.is_closed());
                }
                live.waiters.push(reply);
            }
        }
    }
}

impl Ticket {
    fn answer(self) {
        drop(self.reply.send(Ok(self.results.into_iter().flatten().collect())));
    }
}
