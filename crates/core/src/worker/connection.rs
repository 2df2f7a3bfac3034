//! The connection's life as something to poll: wait, dial, greet, live. Owns the transport of the moment. What
//! follows a failure is the policy's decision, which the event loop asks for.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use futures::future::BoxFuture;
use gen_worker_proto::pb::{self, scheduler_message::Msg as Inbound};
use tokio::time::{Instant, Sleep, sleep, timeout_at};

use crate::{
    address::Address,
    link::{DialOptions, LinkFailure, Live, Transport, dial, open},
    outbox::SharedOutbox,
};

/// Messages taken in one go. Enough to amortize a turn of the event loop, few enough that its other sources wait
/// well under a millisecond.
const BATCH_MESSAGES: usize = 128;

type Attempt<T> = BoxFuture<'static, Result<T, LinkFailure>>;

pub(super) struct Connection {
    address: Address,
    options: DialOptions,
    handshake_timeout: Duration,
    outbox: SharedOutbox,
    state: State,
}

enum State {
    Waiting(Pin<Box<Sleep>>),
    Dialing {
        until: Instant,
        attempt: Attempt<Transport>,
    },
    /// Waits for the event loop to say Hello.
    Reached {
        until: Instant,
        transport: Box<Transport>,
    },
    Greeting {
        attempt: Attempt<(pb::HelloAck, Live)>,
    },
    Live {
        live: Box<Live>,
        since: Instant,
    },
    Down,
}

/// What the connection has to tell.
pub(super) enum ConnectionEvent {
    /// A transport is open: say Hello with [`Connection::greet`].
    Reached,
    /// The handshake is done.
    Up(pb::HelloAck),
    /// Messages were put into the batch.
    Messages,
    /// There is no connection any more; say when to dial again with [`Connection::redial`]. `lived` counts from
    /// the acknowledgement.
    Failed { failure: LinkFailure, lived: Option<Duration> },
}

impl Connection {
    /// Dials `address` when first polled.
    pub(super) fn new(
        address: Address,
        options: DialOptions,
        handshake_timeout: Duration,
        outbox: SharedOutbox,
    ) -> Self {
        let state = State::Waiting(Box::pin(sleep(Duration::ZERO)));
        Self { address, options, handshake_timeout, outbox, state }
    }

    pub(super) fn address(&self) -> &Address {
        &self.address
    }

    pub(super) fn is_live(&self) -> bool {
        matches!(self.state, State::Live { .. })
    }

    /// Dials `address` after `wait`.
    pub(super) fn redial(&mut self, address: Address, wait: Duration) {
        self.address = address;
        self.state = State::Waiting(Box::pin(sleep(wait)));
    }

    /// Dials within `wait` if it would dial later.
    pub(super) fn hurry(&mut self, wait: Duration) {
        let at = Instant::now() + wait;
        if let State::Waiting(sleep) = &mut self.state
            && sleep.deadline() > at
        {
            sleep.as_mut().reset(at);
        }
    }

    /// Says Hello on the transport that was reached.
    pub(super) fn greet(&mut self, hello: pb::Hello, token: Option<String>) {
        let State::Reached { until, transport } = std::mem::replace(&mut self.state, State::Down) else { return };
        let (outbox, connection) = (self.outbox.clone(), self.outbox.connecting());
        let limit = self.handshake_timeout;
        let attempt = async move {
            let opening = open(*transport, token.as_deref(), hello, outbox, connection);
            timeout_at(until, opening).await.unwrap_or(Err(LinkFailure::Timeout(limit)))
        };
        self.state = State::Greeting { attempt: Box::pin(attempt) };
    }

    /// The next event. `batch` is empty and gets the messages.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>, batch: &mut Vec<Inbound>) -> Poll<ConnectionEvent> {
        loop {
            match &mut self.state {
                State::Waiting(sleep) => {
                    ready!(sleep.as_mut().poll(cx));
                    self.state = self.dialing();
                }
                State::Dialing { until, attempt } => match ready!(attempt.as_mut().poll(cx)) {
                    Ok(transport) => {
                        self.state = State::Reached { until: *until, transport: Box::new(transport) };
                        return Poll::Ready(ConnectionEvent::Reached);
                    }
                    Err(failure) => return Poll::Ready(self.failed(failure)),
                },
                State::Greeting { attempt } => match ready!(attempt.as_mut().poll(cx)) {
                    Ok((ack, live)) => {
                        self.state = State::Live { live: Box::new(live), since: Instant::now() };
                        self.outbox.open();
                        return Poll::Ready(ConnectionEvent::Up(ack));
                    }
                    Err(failure) => return Poll::Ready(self.failed(failure)),
                },
                State::Live { live, .. } => {
                    return match ready!(live.poll_messages(cx, BATCH_MESSAGES, batch)) {
                        Ok(()) => Poll::Ready(ConnectionEvent::Messages),
                        Err(failure) => Poll::Ready(self.failed(failure)),
                    };
                }
                State::Reached { .. } | State::Down => return Poll::Pending,
            }
        }
    }

    fn dialing(&self) -> State {
        let (options, address, limit) = (self.options.clone(), self.address.clone(), self.handshake_timeout);
        let until = Instant::now() + limit;
        let attempt = async move {
            timeout_at(until, dial(&options, &address)).await.unwrap_or(Err(LinkFailure::Timeout(limit)))
        };
        State::Dialing { until, attempt: Box::pin(attempt) }
    }

    fn failed(&mut self, failure: LinkFailure) -> ConnectionEvent {
        let (lived, answered) = match std::mem::replace(&mut self.state, State::Down) {
            State::Live { live, since } => (Some(since.elapsed()), live.answered()),
            _ => (None, 0),
        };
        self.outbox.disconnected(answered);
        ConnectionEvent::Failed { failure, lived }
    }
}
