//! One record of a spool file, as bytes. Pure.
//!
//! ```text
//!   length of payload, u32 LE | CRC-32 of all that follows, u32 LE | record number, u64 LE | kind, u8 | payload
//! ```
//! Kind 1 is a result: its payload is the `WorkerMessage` that goes to the orchestrator. Kind 2 says that the record
//! of that number is done with; it has no payload.

use bytes::{BufMut, Bytes};
use gen_worker_proto::pb::{self, worker_message::Msg};
use prost::Message;

use crate::{
    link::encode,
    outbox::{JobEnd, Outgoing},
};

/// Bytes before the payload.
const HEADER_BYTES: usize = 4 + 4 + 8 + 1;

/// Largest payload that is read: a result with the largest inline output is a sixteenth of it. A greater length is
/// damage.
const PAYLOAD_BYTES_MAX: usize = 1024 * 1024;

const RESULT: u8 = 1;
const DONE: u8 = 2;

/// What a record says.
#[derive(Debug, PartialEq)]
pub(super) enum Record {
    /// This result waits.
    Result { number: u64, end: JobEnd },
    /// The result of this number waits no more.
    Done { number: u64 },
}

/// Appends a result. Returns `false`, with nothing written, if it is larger than what is read back.
pub(super) fn write_result(number: u64, end: &JobEnd, buffer: &mut Vec<u8>) -> bool {
    let start = begin(number, RESULT, buffer);
    encode(Outgoing::Result(end.clone()), buffer);
    finish(start, buffer)
}

/// Appends the mark that a result is done with.
pub(super) fn write_done(number: u64, buffer: &mut Vec<u8>) {
    let start = begin(number, DONE, buffer);
    finish(start, buffer);
}

/// Takes the first record of `bytes`; `None` = there is no whole and sound one.
pub(super) fn read(bytes: &mut Bytes) -> Option<Record> {
    let header = bytes.first_chunk::<HEADER_BYTES>()?;
    let [l0, l1, l2, l3, c0, c1, c2, c3, number @ .., kind] = *header;
    let len = usize::try_from(u32::from_le_bytes([l0, l1, l2, l3])).ok().filter(|len| *len <= PAYLOAD_BYTES_MAX)?;
    let total = HEADER_BYTES + len;
    let checked = bytes.get(8..total)?;
    if crc32fast::hash(checked) != u32::from_le_bytes([c0, c1, c2, c3]) {
        return None;
    }
    let number = u64::from_le_bytes(number);
    let record = match kind {
        RESULT => Record::Result { number, end: result(bytes.slice(HEADER_BYTES..total))? },
        DONE => Record::Done { number },
        _ => return None,
    };
    *bytes = bytes.slice(total..);
    Some(record)
}

fn begin(number: u64, kind: u8, buffer: &mut Vec<u8>) -> usize {
    let start = buffer.len();
    buffer.put_u64_le(0);
    buffer.put_u64_le(number);
    buffer.put_u8(kind);
    start
}

/// Fills in length and checksum of the record that began at `start`.
fn finish(start: usize, buffer: &mut Vec<u8>) -> bool {
    let len = buffer.len() - start - HEADER_BYTES;
    let (Some(wire_len), true) = (u32::try_from(len).ok(), len <= PAYLOAD_BYTES_MAX) else {
        buffer.truncate(start);
        return false;
    };
    if let Some((head, rest)) = buffer.get_mut(start..).and_then(|record| record.split_first_chunk_mut::<8>()) {
        let [l0, l1, l2, l3] = wire_len.to_le_bytes();
        let [c0, c1, c2, c3] = crc32fast::hash(rest).to_le_bytes();
        *head = [l0, l1, l2, l3, c0, c1, c2, c3];
    }
    true
}

/// The result in a payload; its output shares the payload's memory.
fn result(payload: Bytes) -> Option<JobEnd> {
    let Msg::JobResult(result) = pb::WorkerMessage::decode(payload).ok()?.msg? else { return None };
    JobEnd::read(result)
}
