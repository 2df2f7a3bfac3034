//! Protobuf encoding of the outgoing form. The three messages that every job sends are written straight from the
//! ids and payloads the worker holds; a test compares them with the generated code. Owns no state.

use bytes::BufMut;
use gen_worker_proto::{Pair, pb};
use prost::{Message, encode_length_delimiter, encoding::encoded_len_varint, length_delimiter_len};

use crate::outbox::{EndOutput, JobEnd, Outgoing, Progress};

const VARINT: u8 = 0;
const BYTES: u8 = 2;

// Field numbers of `WorkerMessage`.
const JOB_ACCEPTED: u8 = 3;
const JOB_RESULT: u8 = 4;
const JOB_PROGRESS: u8 = 5;

/// Writes `message` as a `WorkerMessage`.
pub(crate) fn encode(message: Outgoing, buffer: &mut impl BufMut) {
    match message {
        Outgoing::Accepted { pair, .. } => {
            header(JOB_ACCEPTED, pair_len(&pair), buffer);
            write_pair(&pair, buffer);
        }
        Outgoing::Progress(progress) => write_progress(&progress, buffer),
        Outgoing::Result(end) => write_result(&end, buffer),
        Outgoing::Other(message) => {
            let message = pb::WorkerMessage { msg: Some(*message) };
            message.encode(buffer).expect("the buffer grows");
        }
    }
}

fn write_progress(progress: &Progress, buffer: &mut impl BufMut) {
    let len = pair_len(&progress.pair)
        + int_len(progress.seq)
        + bytes_len(&progress.data)
        + bytes_len(progress.content_type.as_bytes());
    header(JOB_PROGRESS, len, buffer);
    write_pair(&progress.pair, buffer);
    write_int(3, progress.seq, buffer);
    write_bytes(4, &progress.data, buffer);
    write_bytes(5, progress.content_type.as_bytes(), buffer);
}

fn write_result(end: &JobEnd, buffer: &mut impl BufMut) {
    let status = i64::from(i32::from(end.status));
    // The members of a oneof are written even when they are empty.
    let output_len = match &end.output {
        EndOutput::None => 0,
        EndOutput::Inline(bytes) => member_len(bytes),
        EndOutput::BlobRef(file_ref) => member_len(file_ref.as_bytes()),
    };
    let metrics = end.metrics.as_ref().map(|metrics| (metrics, metrics.encoded_len()));
    let metrics_len = metrics.map_or(0, |(_, len)| 1 + length_delimiter_len(len) + len);
    let len = pair_len(&end.pair) + int_len(status) + output_len + bytes_len(end.message.as_bytes()) + metrics_len;
    header(JOB_RESULT, len, buffer);
    write_pair(&end.pair, buffer);
    write_int(3, status, buffer);
    match &end.output {
        EndOutput::None => {}
        EndOutput::Inline(bytes) => write_member(4, bytes, buffer),
        EndOutput::BlobRef(file_ref) => write_member(5, file_ref.as_bytes(), buffer),
    }
    write_bytes(6, end.message.as_bytes(), buffer);
    if let Some((metrics, len)) = metrics {
        header(7, len, buffer);
        metrics.encode_raw(buffer);
    }
}

fn pair_len(pair: &Pair) -> usize {
    bytes_len(pair.request_id.as_str().as_bytes()) + int_len(pair.attempt.0)
}

fn write_pair(pair: &Pair, buffer: &mut impl BufMut) {
    write_bytes(1, pair.request_id.as_str().as_bytes(), buffer);
    write_int(2, pair.attempt.0, buffer);
}

fn int_len(value: i64) -> usize {
    // A negative number travels as its 64-bit two's complement.
    if value == 0 { 0 } else { 1 + encoded_len_varint(value.cast_unsigned()) }
}

fn write_int(field: u8, value: i64, buffer: &mut impl BufMut) {
    if value != 0 {
        buffer.put_u8(field << 3 | VARINT);
        prost::encoding::encode_varint(value.cast_unsigned(), buffer);
    }
}

fn bytes_len(bytes: &[u8]) -> usize {
    if bytes.is_empty() { 0 } else { member_len(bytes) }
}

fn member_len(bytes: &[u8]) -> usize {
    1 + length_delimiter_len(bytes.len()) + bytes.len()
}

fn write_bytes(field: u8, bytes: &[u8], buffer: &mut impl BufMut) {
    if !bytes.is_empty() {
        write_member(field, bytes, buffer);
    }
}

fn write_member(field: u8, bytes: &[u8], buffer: &mut impl BufMut) {
    header(field, bytes.len(), buffer);
    buffer.put_slice(bytes);
}

fn header(field: u8, len: usize, buffer: &mut impl BufMut) {
    buffer.put_u8(field << 3 | BYTES);
    encode_length_delimiter(len, buffer).expect("the buffer grows");
}
