//! One accepted call.

use std::time::Duration;

use gen_worker_proto::pb::{
    self, SchedulerMessage, WorkerMessage, scheduler_message::Msg as Outbound, worker_message::Msg,
};
use tokio::{
    sync::mpsc::Sender,
    time::{Instant, timeout_at},
};
use tonic::{Status, Streaming};

use super::{gate::Gate, server::Call};

/// What came next.
#[derive(Debug)]
pub(super) enum Received {
    /// A message of a known kind.
    Message(Box<Msg>),
    /// The worker ended its side in good order.
    Ended,
    /// The call broke.
    Broken,
    /// Nothing in time.
    Nothing,
}

/// A call that the driver talks on.
pub(super) struct Session {
    inbound: Streaming<WorkerMessage>,
    outbound: Sender<Result<SchedulerMessage, Status>>,
    /// What the connection below it does.
    pub(super) gate: Gate,
}

impl Session {
    pub(super) fn new(call: Call) -> Self {
        Self { inbound: call.inbound, outbound: call.outbound, gate: call.gate }
    }

    /// The next message until `deadline`.
    ///
    /// # Cancel safety
    /// May be dropped; no message is lost.
    pub(super) async fn receive(&mut self, deadline: Instant) -> Received {
        loop {
            return match timeout_at(deadline, self.inbound.message()).await {
                Err(_) => Received::Nothing,
                Ok(Ok(Some(WorkerMessage { msg: Some(msg) }))) => Received::Message(Box::new(msg)),
                // A kind that is newer than this command.
                Ok(Ok(Some(WorkerMessage { msg: None }))) => continue,
                Ok(Ok(None)) => Received::Ended,
                Ok(Err(_)) => Received::Broken,
            };
        }
    }

    /// Sends a message; what the call can no longer carry is lost, as it would be in a network.
    pub(super) fn send(&self, message: Outbound) {
        let _ = self.outbound.try_send(Ok(SchedulerMessage { msg: Some(message) }));
    }

    /// Acknowledges the Hello.
    pub(super) fn acknowledge(&self) {
        self.send(Outbound::HelloAck(pb::HelloAck {
            protocol_version: pb::ProtocolVersion::Current.into(),
            ..pb::HelloAck::default()
        }));
    }

    /// Asks for a drain; no deadline is an unlimited one.
    pub(super) fn drain(&self, deadline: Option<Duration>) {
        let deadline_ms = deadline.map_or(0, |deadline| i64::try_from(deadline.as_millis()).unwrap_or(i64::MAX));
        self.send(Outbound::Drain(pb::Drain { deadline_ms }));
    }
}
