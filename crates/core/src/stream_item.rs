//! What streaming handlers yield, and how items become frames.
//!
//! ```text
//!   handler ── items ──> Framer ── Chunk* then End | error ──> whoever sends them
//! ```
//! Chunks may be lost on their way; what was streamed is therefore also summed up at the end.

use std::pin::pin;

use bytes::Bytes;
use futures::{Stream, StreamExt};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    codec,
    context::RequestContext,
    function::{Caller, Frame},
    io_type::{Output, bytes_field},
    worker_error::{Result, WorkerError},
};

mod summary;

use summary::Summary;

const TEXT: &str = "text/plain";
const BATCH_ITEM: &str = "application/x-batch-item+msgpack";
const JSON: &str = "application/json";

/// The media type of frames that is spelled `name`, if there is one.
pub(crate) fn frame_type(name: &str) -> Option<&'static str> {
    [TEXT, BATCH_ITEM, JSON].into_iter().find(|known| *known == name)
}

/// Media type of a batch item that names none.
const OPAQUE: &str = "application/octet-stream";

/// An item of a stream. Every `#[derive(Output)]` type is one, as data; the types here are signals.
pub trait StreamItem: Output {
    /// What the item means to the stream.
    fn signal(&self) -> Signal<'_> {
        Signal::Data
    }
}

/// What an item means to its stream.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Signal<'a> {
    /// Text to be appended.
    Token(&'a TokenDelta),
    /// Part of one item of a batch.
    Batch(&'a BatchItemDelta),
    /// What the stream cost; also data.
    Usage(&'a TokenUsage),
    /// The end.
    Done,
    /// The end, as a failure with this message.
    Error(&'a str),
    /// A value of its own.
    Data,
}

/// One token, or a few.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct TokenDelta {
    /// The text to append.
    pub text: String,
    /// Which of several texts of one request.
    pub item_id: Option<String>,
}

/// Part of one item of a batch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct BatchItemDelta {
    /// Number of the item, from 0.
    pub index: u64,
    /// How many items there will be; 0 when unknown.
    pub total: u64,
    /// Name of the item.
    pub item_id: Option<String>,
    /// Whether this is the item's last part.
    pub finished: bool,
    /// Why the item failed; empty if it did not. Other items are not concerned.
    pub error: String,
    /// The bytes.
    #[serde(with = "bytes_field")]
    #[schemars(schema_with = "bytes_field::schema")]
    pub chunk: Bytes,
    /// Media type of the whole item.
    pub content_type: String,
}

/// What a stream of tokens cost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct TokenUsage {
    /// Tokens read.
    pub prompt_tokens: u64,
    /// Tokens written.
    pub completion_tokens: u64,
    /// Tokens written per second.
    pub tokens_per_second: f64,
}

/// An item of a stream that mixes kinds, or that ends before its source does.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum StreamEvent {
    /// Text to be appended.
    Token(TokenDelta),
    /// Part of one item of a batch.
    Batch(BatchItemDelta),
    /// What the stream cost.
    Usage(TokenUsage),
    /// The end; nothing after it is read.
    Done(Done),
    /// The end, as a failure.
    Error(Error),
}

/// The end of a stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Done {}

/// The end of a stream, as a failure of the request (invalid input).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Error {
    /// What is wrong.
    pub message: String,
}

/// Turns items into frames, one at a time.
pub struct Framer {
    context: RequestContext,
    caller: Caller,
    summary: Summary,
}

/// What an item became.
pub enum Step {
    /// A frame; the stream goes on.
    Chunk(Frame),
    /// The end or the failure of the stream; nothing may follow.
    Last(Result<Frame>),
}

impl Framer {
    /// Frames for one call.
    #[must_use]
    pub fn new(context: RequestContext, caller: Caller) -> Self {
        Self { context, caller, summary: Summary::default() }
    }

    /// Takes the next item, or the end of the items. Looks at the cancel flag before every chunk.
    pub fn step<T: StreamItem>(&mut self, item: Option<Result<T>>) -> Step {
        let item = match item {
            None => return Step::Last(self.end()),
            Some(Err(error)) => return Step::Last(Err(error)),
            Some(Ok(item)) => item,
        };
        if let Err(canceled) = self.context.check_cancelled() {
            return Step::Last(Err(canceled));
        }
        let signal = item.signal();
        match signal {
            Signal::Done => return Step::Last(self.end()),
            Signal::Error(message) => return Step::Last(Err(stream_error(message))),
            Signal::Token(_) | Signal::Batch(_) | Signal::Usage(_) | Signal::Data => {}
        }
        match self.chunk(&item, signal) {
            Ok(frame) => {
                self.summary.add(signal);
                Step::Chunk(frame)
            }
            Err(error) => Step::Last(Err(error)),
        }
    }

    fn chunk<T: StreamItem>(&self, item: &T, signal: Signal<'_>) -> Result<Frame> {
        let (content_type, data) = match (self.caller, signal) {
            (Caller::Wire, Signal::Token(delta)) => (TEXT, Bytes::copy_from_slice(delta.text.as_bytes())),
            (Caller::Wire, Signal::Batch(delta)) => (BATCH_ITEM, codec::encode(delta)?),
            _ => (JSON, codec::encode_json(item)?),
        };
        Ok(Frame::Chunk { content_type, data })
    }

    fn end(&mut self) -> Result<Frame> {
        let summary = std::mem::take(&mut self.summary);
        let Some(result) = summary.finish() else { return Ok(Frame::End(None)) };
        let encoded = codec::encode(&result)?;
        let bytes_max = self.context.summary_bytes_max();
        let fits = encoded.len() <= bytes_max;
        Ok(Frame::End(Some(if fits { encoded } else { codec::encode(&result.within(bytes_max))? })))
    }
}

/// Frames for all items of a stream.
pub fn frames<S, T>(items: S, context: RequestContext, caller: Caller) -> impl Stream<Item = Result<Frame>>
where
    S: Stream<Item = Result<T>>,
    T: StreamItem,
{
    async_stream::stream! {
        let mut framer = Framer::new(context, caller);
        let mut items = pin!(items);
        loop {
            match framer.step(items.next().await) {
                Step::Chunk(frame) => yield Ok(frame),
                Step::Last(last) => {
                    yield last;
                    break;
                }
            }
        }
    }
}

fn stream_error(message: &str) -> WorkerError {
    WorkerError::validation(if message.trim().is_empty() { "stream error" } else { message })
}

impl TokenDelta {
    /// A delta of the only text.
    #[must_use]
    pub fn text(text: impl Into<String>) -> Self {
        Self { text: text.into(), item_id: None }
    }

    /// A delta of one of several texts.
    #[must_use]
    pub fn of_item(item_id: impl Into<String>, text: impl Into<String>) -> Self {
        Self { text: text.into(), item_id: Some(item_id.into()) }
    }
}

impl Default for BatchItemDelta {
    fn default() -> Self {
        Self {
            index: 0,
            total: 0,
            item_id: None,
            finished: false,
            error: String::new(),
            chunk: Bytes::new(),
            content_type: OPAQUE.to_owned(),
        }
    }
}

impl Output for TokenDelta {}
impl Output for BatchItemDelta {}
impl Output for TokenUsage {}
impl Output for StreamEvent {}
impl Output for Done {}
impl Output for Error {}

impl StreamItem for TokenDelta {
    fn signal(&self) -> Signal<'_> {
        Signal::Token(self)
    }
}

impl StreamItem for BatchItemDelta {
    fn signal(&self) -> Signal<'_> {
        Signal::Batch(self)
    }
}

impl StreamItem for TokenUsage {
    fn signal(&self) -> Signal<'_> {
        Signal::Usage(self)
    }
}

impl StreamItem for Done {
    fn signal(&self) -> Signal<'_> {
        Signal::Done
    }
}

impl StreamItem for Error {
    fn signal(&self) -> Signal<'_> {
        Signal::Error(&self.message)
    }
}

impl StreamItem for StreamEvent {
    fn signal(&self) -> Signal<'_> {
        match self {
            Self::Token(delta) => delta.signal(),
            Self::Batch(delta) => delta.signal(),
            Self::Usage(usage) => usage.signal(),
            Self::Done(done) => done.signal(),
            Self::Error(error) => error.signal(),
        }
    }
}

#[cfg(test)]
mod tests;
