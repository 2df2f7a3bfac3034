//! What a worker and the child of a slot say to each other, as bytes. Pure: bytes in, frames out, no I/O.
//!
//! A frame is its length (`u32`, little endian) and that many bytes of Protocol Buffers. Both ends are the same
//! binary, so there is one version; it is said in [`Hello`] all the same, because a binary may be replaced on disk
//! while its worker runs.

use std::collections::BTreeMap;

use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};
use gen_worker_proto::limits::MESSAGE_BYTES_MAX;
use prost::Message as _;

/// Version of these frames: another one whenever what a child does with a frame changes. 2: a set-up names the
/// accelerator of its models. 3: handlers save files through the worker. 4: calls have a directory, and files may be
/// saved without replacing. 5: calls have a source.
pub const PROTOCOL: u32 = 5;

/// Bytes of the length in front of a frame.
pub const HEADER_BYTES: usize = 4;

/// Room beside a payload for ids, model refs and directories.
const ENVELOPE_BYTES: usize = 1024 * 1024;

/// Largest frame without its length: whatever came in one message of the wire fits.
pub const FRAME_BYTES_MAX: usize = MESSAGE_BYTES_MAX + ENVELOPE_BYTES;

/// Bytes that are no frame, or a frame that cannot be sent.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// Longer than [`FRAME_BYTES_MAX`].
    #[error("slot frame of {0} bytes, more than {FRAME_BYTES_MAX}")]
    TooLarge(usize),
    /// The bytes mean nothing.
    #[error("slot frame cannot be read: {0}")]
    Garbled(String),
    /// It says nothing this version knows.
    #[error("slot frame of an unknown kind")]
    Unknown,
}

/// One thing said.
#[derive(Clone, PartialEq, prost::Oneof)]
pub enum Frame {
    /// To the child: make the instance.
    #[prost(message, tag = "1")]
    SetUp(SetUp),
    /// To the child: run the handler.
    #[prost(message, tag = "2")]
    Start(Start),
    /// To the child: the running call should end.
    #[prost(message, tag = "3")]
    Cancel(Empty),
    /// To the child: is anybody there?
    #[prost(message, tag = "4")]
    Ping(Empty),
    /// To the child: shut the instance down and exit.
    #[prost(message, tag = "5")]
    Shutdown(Empty),
    /// To the child: what became of a file it wanted saved.
    #[prost(message, tag = "6")]
    Saved(Saved),
    /// From the child, first of all.
    #[prost(message, tag = "16")]
    Hello(Hello),
    /// From the child: the instance is there, or cannot be.
    #[prost(message, tag = "17")]
    SetUpDone(Ended),
    /// From the child: one item of a stream.
    #[prost(message, tag = "18")]
    Chunk(Chunk),
    /// From the child: something the handler told.
    #[prost(message, tag = "19")]
    Event(Event),
    /// From the child: the call is over.
    #[prost(message, tag = "20")]
    Returned(Ended),
    /// From the child: yes.
    #[prost(message, tag = "21")]
    Pong(Empty),
    /// From the child: a file that its handler wants saved.
    #[prost(message, tag = "22")]
    Save(Save),
}

/// Nothing to add.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Empty {}

/// What an instance is made from.
#[derive(Clone, PartialEq, prost::Message)]
pub struct SetUp {
    /// Routable name of any function of the endpoint.
    #[prost(string, tag = "1")]
    pub function: String,
    /// Local directories of its models.
    #[prost(message, repeated, tag = "2")]
    pub models: Vec<Model>,
    /// Ordinal of the accelerator they are loaded to; absent for the CPU.
    #[prost(uint32, optional, tag = "3")]
    pub cuda: Option<u32>,
}

/// A model that lies on this machine.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Model {
    /// The wire ref it is declared with; what lies there may be another flavor of it.
    #[prost(string, tag = "1")]
    pub reference: String,
    /// Its directory, as the system spells it.
    #[prost(bytes = "bytes", tag = "2")]
    pub dir: Bytes,
}

/// One call.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Start {
    /// Routable name of the function.
    #[prost(string, tag = "1")]
    pub function: String,
    /// The request.
    #[prost(string, tag = "2")]
    pub request_id: String,
    /// Number of its dispatch.
    #[prost(int64, tag = "3")]
    pub attempt: i64,
    /// Slug of the owner.
    #[prost(string, tag = "4")]
    pub tenant: String,
    /// Who invoked it.
    #[prost(string, tag = "5")]
    pub invoker_id: String,
    /// Model slot to model ref.
    #[prost(btree_map = "string, string", tag = "6")]
    pub models: BTreeMap<String, String>,
    /// Adapters of this request.
    #[prost(message, repeated, tag = "7")]
    pub overlays: Vec<Overlay>,
    /// Time left, in milliseconds; absent without a deadline.
    #[prost(uint64, optional, tag = "8")]
    pub remaining_ms: Option<u64>,
    /// Whether saved media travels inside the output.
    #[prost(bool, tag = "9")]
    pub inline: bool,
    /// Ordinal of the accelerator; absent for the CPU.
    #[prost(uint32, optional, tag = "10")]
    pub cuda: Option<u32>,
    /// Most bytes that the summary of a stream may have.
    #[prost(uint64, tag = "11")]
    pub summary_bytes_max: u64,
    /// Whether the payload stood in JSON and items come out as JSON documents.
    #[prost(bool, tag = "12")]
    pub local: bool,
    /// The encoded payload.
    #[prost(bytes = "bytes", tag = "13")]
    pub payload: Bytes,
    /// The directory of the call, as the system spells it; absent when there is no place for one.
    #[prost(bytes = "bytes", optional, tag = "14")]
    pub scratch: Option<Bytes>,
    /// What the call is made from, as the system spells it; absent when its payload names no source.
    #[prost(bytes = "bytes", optional, tag = "15")]
    pub source: Option<Bytes>,
}

/// An adapter on a model slot.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Overlay {
    /// The slot.
    #[prost(string, tag = "1")]
    pub slot: String,
    /// Ref of the adapter.
    #[prost(string, tag = "2")]
    pub reference: String,
    /// Its scale.
    #[prost(double, tag = "3")]
    pub weight: f64,
    /// Ref and digest.
    #[prost(string, tag = "4")]
    pub id: String,
    /// Its file, as the system spells it.
    #[prost(bytes = "bytes", tag = "5")]
    pub file: Bytes,
}

/// The child is up.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Hello {
    /// Its [`PROTOCOL`].
    #[prost(uint32, tag = "1")]
    pub protocol: u32,
}

/// One item of a stream.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Chunk {
    /// Its media type.
    #[prost(string, tag = "1")]
    pub content_type: String,
    /// Its encoding.
    #[prost(bytes = "bytes", tag = "2")]
    pub data: Bytes,
}

/// Something a handler told.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Event {
    /// Its kind, such as `request.log`.
    #[prost(string, tag = "1")]
    pub kind: String,
    /// JSON text of what it told.
    #[prost(string, tag = "2")]
    pub payload: String,
    /// When, in seconds since the Unix epoch.
    #[prost(double, tag = "3")]
    pub timestamp: f64,
}

/// A file to save, or one piece of its bytes.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Save {
    /// Number of the save in its call.
    #[prost(uint64, tag = "1")]
    pub id: u64,
    /// Ref in the author's words; with the last piece only.
    #[prost(string, tag = "2")]
    pub reference: String,
    /// The file, as the system spells it; absent when its bytes are here.
    #[prost(bytes = "bytes", optional, tag = "3")]
    pub path: Option<Bytes>,
    /// Its bytes, or the next piece of them.
    #[prost(bytes = "bytes", tag = "4")]
    pub data: Bytes,
    /// Whether another piece follows.
    #[prost(bool, tag = "5")]
    pub more: bool,
    /// Whether a file that is there already is an error; with the last piece only.
    #[prost(bool, tag = "6")]
    pub create: bool,
    /// JSON of where the client wants it; absent means the media of its owner. With the last piece only.
    #[prost(bytes = "bytes", optional, tag = "7")]
    pub to: Option<Bytes>,
}

/// What became of a save.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Saved {
    /// Its number.
    #[prost(uint64, tag = "1")]
    pub id: u64,
    /// Why it failed; absent when it did not.
    #[prost(message, optional, tag = "2")]
    pub failure: Option<Failure>,
    /// JSON of the asset.
    #[prost(bytes = "bytes", tag = "3")]
    pub asset: Bytes,
}

/// The end of a set-up or a call.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Ended {
    /// Why it failed; absent when it did not.
    #[prost(message, optional, tag = "1")]
    pub failure: Option<Failure>,
    /// The encoded output, if there is one.
    #[prost(bytes = "bytes", optional, tag = "2")]
    pub output: Option<Bytes>,
    /// What the child measured meanwhile.
    #[prost(message, optional, tag = "3")]
    pub measures: Option<Measures>,
}

/// What a child measured of itself. 0 where its system does not tell.
#[derive(Clone, Copy, PartialEq, prost::Message)]
pub struct Measures {
    /// The largest resident size it ever had, in bytes.
    #[prost(uint64, tag = "1")]
    pub peak_ram_bytes: u64,
    /// The most memory of accelerators that was in use while the call ran, in bytes: by all processes, so an upper
    /// bound of what the call used.
    #[prost(uint64, tag = "2")]
    pub peak_vram_bytes: u64,
    /// Its resident size now, in bytes.
    #[prost(uint64, tag = "3")]
    pub ram_bytes: u64,
    /// Time that the author's setup took, in microseconds.
    #[prost(uint64, tag = "4")]
    pub setup_us: u64,
    /// Time that the author's warm-up took, in microseconds.
    #[prost(uint64, tag = "5")]
    pub warmup_us: u64,
}

/// A failure, with everything the worker has to know of it.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Failure {
    /// Number of its class.
    #[prost(uint32, tag = "1")]
    pub class: u32,
    /// Name of its kind.
    #[prost(string, tag = "2")]
    pub kind: String,
    /// Its text.
    #[prost(string, tag = "3")]
    pub message: String,
    /// Name of the type that failed, or ref of the model that could not be had.
    #[prost(string, optional, tag = "4")]
    pub about: Option<String>,
}

/// What stands in the bytes of a frame.
#[derive(Clone, PartialEq, prost::Message)]
struct Envelope {
    #[prost(oneof = "Frame", tags = "1, 2, 3, 4, 5, 6, 16, 17, 18, 19, 20, 21, 22")]
    frame: Option<Frame>,
}

/// Appends `frame` to `buffer`. On failure the buffer is as it was.
///
/// # Errors
/// [`FrameError::TooLarge`].
pub fn encode(frame: Frame, buffer: &mut BytesMut) -> Result<(), FrameError> {
    let envelope = Envelope { frame: Some(frame) };
    let bytes = envelope.encoded_len();
    let length = u32::try_from(bytes).ok().filter(|_| bytes <= FRAME_BYTES_MAX).ok_or(FrameError::TooLarge(bytes))?;
    buffer.reserve(HEADER_BYTES + bytes);
    buffer.put_u32_le(length);
    envelope.encode(buffer).expect("room for all of it was reserved");
    Ok(())
}

/// Takes the first frame out of `buffer`; nothing while it is incomplete. Payloads share the memory of the buffer.
///
/// # Errors
/// When the bytes are no frame. What follows them cannot be read either.
pub fn decode(buffer: &mut BytesMut) -> Result<Option<Frame>, FrameError> {
    let Some(header) = buffer.first_chunk::<HEADER_BYTES>() else { return Ok(None) };
    let length = usize::try_from(u32::from_le_bytes(*header)).unwrap_or(usize::MAX);
    if length > FRAME_BYTES_MAX {
        return Err(FrameError::TooLarge(length));
    }
    if buffer.len() - HEADER_BYTES < length {
        return Ok(None);
    }
    buffer.advance(HEADER_BYTES);
    let body = buffer.split_to(length).freeze();
    let envelope = Envelope::decode(body).map_err(|error| FrameError::Garbled(error.to_string()))?;
    envelope.frame.map(Some).ok_or(FrameError::Unknown)
}

#[cfg(test)]
mod tests;
