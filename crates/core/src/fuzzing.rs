//! What fuzz targets need of the parts that are nobody else's business. Behind a feature that no binary sets.

use bytes::{Bytes, BytesMut};
use gen_worker_proto::{Pair, pb::worker_message::Msg};

use crate::{
    link::encode,
    outbox::{JobEnd, Outgoing, Progress},
};

/// Types of chunks that occur; a worker makes up no others.
const CONTENT_TYPES: [&str; 4] = ["", "text/plain", "application/json", "application/octet-stream"];

/// What the worker puts on the wire for `message`, by its own encoder. None for messages that no worker sends.
#[must_use]
pub fn worker_bytes(message: Msg) -> Option<Bytes> {
    let mut buffer = BytesMut::new();
    encode(outgoing(message)?, &mut buffer);
    Some(buffer.freeze())
}

fn outgoing(message: Msg) -> Option<Outgoing> {
    Some(match message {
        Msg::JobAccepted(accepted) => {
            Outgoing::Accepted { pair: Pair::parse(accepted.request_id, accepted.attempt).ok()?, repeated: false }
        }
        Msg::JobProgress(progress) => Outgoing::Progress(Progress {
            pair: Pair::parse(progress.request_id, progress.attempt).ok()?,
            seq: progress.seq,
            content_type: CONTENT_TYPES.into_iter().find(|known| *known == progress.content_type)?,
            data: progress.data,
        }),
        Msg::JobResult(result) => Outgoing::Result(JobEnd::read(result)?),
        other => Outgoing::Other(Box::new(other)),
    })
}
