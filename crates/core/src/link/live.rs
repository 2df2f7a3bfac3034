//! The handshake, and the stream after it. Owns the stream; dropping it ends the call.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use futures::Stream;
use gen_worker_proto::{
    limits::MESSAGE_BYTES_MAX,
    pb::{self, scheduler_message::Msg as Inbound, worker_message::Msg},
};
use http::uri::PathAndQuery;
use tonic::{Request, Streaming, client::Grpc, metadata::MetadataValue, transport::Channel};

use super::{LinkFailure, Transport, codec::WorkerCodec, outbound::Outbound};
use crate::outbox::{Flushes, SharedOutbox};

const CONNECT: &str = "/cozy.scheduler.WorkerScheduler/Connect";

/// A stream after HelloAck.
pub(crate) struct Live {
    inbound: Streaming<pb::SchedulerMessage>,
    flushes: Arc<Flushes>,
    // Keeps the connection: the stream alone would end it when its last request handle goes.
    _channel: Grpc<Channel>,
}

/// Opens the stream, says Hello and waits for the acknowledgement. The caller bounds the time and opens the queue.
pub(crate) async fn open(
    transport: Transport,
    token: Option<&str>,
    hello: pb::Hello,
    outbox: SharedOutbox,
    connection: u64,
) -> Result<(pb::HelloAck, Live), LinkFailure> {
    let Transport { channel, flushes, origin } = transport;
    let hello = Msg::Hello(hello).into();
    let mut request = Request::new(Outbound::new(hello, outbox, connection, flushes.clone()));
    if let Some(token) = token {
        let value = MetadataValue::try_from(format!("Bearer {token}")).map_err(|_| LinkFailure::Token)?;
        request.metadata_mut().insert("authorization", value);
    }
    let mut client = Grpc::with_origin(channel, origin)
        .max_decoding_message_size(MESSAGE_BYTES_MAX)
        .max_encoding_message_size(MESSAGE_BYTES_MAX);
    client.ready().await.map_err(LinkFailure::Transport)?;
    let response = client.streaming(request, PathAndQuery::from_static(CONNECT), WorkerCodec).await;
    let mut inbound = response.map_err(LinkFailure::Refused)?.into_inner();
    let first = inbound.message().await.map_err(LinkFailure::Refused)?.ok_or(LinkFailure::Ended)?;
    let Some(Inbound::HelloAck(ack)) = first.msg else { return Err(LinkFailure::NotAcknowledged) };
    if ack.protocol_version != i32::from(pb::ProtocolVersion::Current) {
        return Err(LinkFailure::Version(ack.protocol_version));
    }
    Ok((ack, Live { inbound, flushes, _channel: client }))
}

impl Live {
    /// Flushes of the transport after which something came back, see [`crate::outbox::Outbox::asked`].
    pub(crate) fn answered(&self) -> u64 {
        self.flushes.answered()
    }

    /// Takes what arrived, at most `max` messages; messages of unknown kind are skipped. Pending = nothing there.
    /// With an error, the messages that came before it are in `into`.
    pub(crate) fn poll_messages(
        &mut self,
        cx: &mut Context<'_>,
        max: usize,
        into: &mut Vec<Inbound>,
    ) -> Poll<Result<(), LinkFailure>> {
        while into.len() < max {
            match Pin::new(&mut self.inbound).poll_next(cx) {
                Poll::Ready(Some(Ok(message))) => into.extend(message.msg),
                Poll::Pending if into.is_empty() => return Poll::Pending,
                Poll::Pending => break,
                Poll::Ready(Some(Err(status))) => return Poll::Ready(Err(LinkFailure::Refused(status))),
                Poll::Ready(None) => return Poll::Ready(Err(LinkFailure::Ended)),
            }
        }
        Poll::Ready(Ok(()))
    }
}
