//! Events in the form of server-sent events.

use std::{convert::Infallible, io::Write as _, time::Duration};

use axum::{
    body::Body,
    http::{HeaderMap, HeaderValue, header},
    response::{IntoResponse as _, Response},
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use futures::{FutureExt as _, StreamExt as _};
use serde::{Serialize, de::IgnoredAny};

use super::{body::accepts, disconnect::CancelOnDrop, object::RequestObject, reply, times::Time};
use crate::{
    pool::{Event, EventId, Subscription},
    request::{Request, State},
};

/// Silence after which a comment goes out, so that proxies do not take the stream for dead (contract P-11).
const KEEPALIVE: Duration = Duration::from_secs(15);

/// Events that are ready go out together up to this many bytes: one packet's worth of small chunks.
const BATCH_BYTES: usize = 16 * 1024;

/// Whether the caller asks for a stream of events.
pub(super) fn accepted(headers: &HeaderMap) -> bool {
    accepts(headers, |kind| kind.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case("text/event-stream"))
}

/// The reply that streams a subscription. `guard` is disarmed by the terminal event, so a reader that goes away before
/// it cancels the request if that was wanted.
pub(super) fn reply(request: &Request, events: Subscription, guard: CancelOnDrop, bytes_inline: bool) -> Response {
    let open = Open { events, guard, bytes_inline, finished: false };
    let frames = futures::stream::unfold(open, |mut open| async move {
        let frames = open.next().await?;
        Some((Ok::<_, Infallible>(frames), open))
    });
    let mut response = Body::from_stream(frames).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    // Some proxies gather a reply before they pass it on, unless told not to.
    headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
    reply::about(&mut response, request);
    response
}

struct Open {
    events: Subscription,
    guard: CancelOnDrop,
    bytes_inline: bool,
    finished: bool,
}

impl Open {
    /// The next piece of the reply: all events that are ready, or a comment after too long a silence.
    async fn next(&mut self) -> Option<Bytes> {
        if self.finished {
            return None;
        }
        let mut out = Vec::with_capacity(512);
        match tokio::time::timeout(KEEPALIVE, self.events.next()).await {
            Ok(event) => self.write(event?, &mut out),
            Err(_) => out.extend_from_slice(b":\n\n"),
        }
        while !self.finished && out.len() < BATCH_BYTES {
            match self.events.next().now_or_never() {
                Some(Some(event)) => self.write(event, &mut out),
                _ => break,
            }
        }
        Some(Bytes::from(out))
    }

    fn write(&mut self, event: Event, out: &mut Vec<u8>) {
        if event.is_terminal() {
            self.finished = true;
            self.guard.disarm();
        }
        write(&event, self.bytes_inline, out);
    }
}

/// Appends one event.
fn write(event: &Event, bytes_inline: bool, out: &mut Vec<u8>) {
    match event {
        Event::State { id, state, worker_id, at } => {
            let data = StateData { state: *state, attempt: id.attempt, worker_id: worker_id.as_deref(), at: Time(*at) };
            frame("state", Some(*id), out, |out| json(&data, out));
        }
        Event::Chunk { id, content_type, data } => frame("chunk", Some(*id), out, |out| chunk(content_type, data, out)),
        Event::Progress { id, value } => frame("progress", Some(*id), out, |out| json(value, out)),
        Event::Log { id, value } => frame("log", Some(*id), out, |out| json(value, out)),
        Event::Phase { value } => frame("phase", None, out, |out| json(value, out)),
        Event::Gap { lost } => frame("gap", None, out, |out| json(&GapData { lost: *lost }, out)),
        Event::Result(request) => {
            frame("result", None, out, |out| RequestObject::new(request, bytes_inline).write(out))
        }
        Event::Error(request) => frame("error", None, out, |out| RequestObject::new(request, bytes_inline).write(out)),
    }
}

fn frame(name: &str, id: Option<EventId>, out: &mut Vec<u8>, data: impl FnOnce(&mut Vec<u8>)) {
    let head = match id {
        Some(id) => write!(out, "event: {name}\nid: {id}\ndata: "),
        None => write!(out, "event: {name}\ndata: "),
    };
    head.expect("writing to memory succeeds");
    data(out);
    out.extend_from_slice(b"\n\n");
}

fn json(value: &impl Serialize, out: &mut Vec<u8>) {
    serde_json::to_writer(out, value).expect("event data holds text, numbers and JSON values");
}

#[derive(Serialize)]
struct StateData<'a> {
    state: State,
    attempt: i64,
    worker_id: Option<&'a str>,
    at: Time,
}

#[derive(Serialize)]
struct GapData {
    lost: u64,
}

#[derive(Serialize)]
struct BinaryData<'a> {
    content_type: &'a str,
    base64: String,
}

/// What a chunk is by its media type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// `text/…`.
    Text,
    /// `application/json` and `…+json`.
    Json,
    /// Everything else.
    Binary,
}

impl Kind {
    /// Reads a media type; parameters do not matter.
    pub(super) fn of(content_type: &str) -> Self {
        let essence = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        if essence.starts_with("text/") {
            Self::Text
        } else if essence == "application/json" || essence.ends_with("+json") {
            Self::Json
        } else {
            Self::Binary
        }
    }
}

/// Appends the data of a chunk. One that is not what its type says goes out as binary.
fn chunk(content_type: &str, data: &[u8], out: &mut Vec<u8>) {
    out.reserve(data.len() + 32);
    match (Kind::of(content_type), std::str::from_utf8(data)) {
        (Kind::Text, Ok(text)) => {
            out.extend_from_slice(b"{\"text\":");
            json(&text, out);
            out.push(b'}');
        }
        (Kind::Json, Ok(text)) if serde_json::from_str::<IgnoredAny>(text).is_ok() => {
            out.extend_from_slice(b"{\"value\":");
            // A line break would end the event; in JSON it can only stand between tokens, where space is as good.
            out.extend(text.bytes().map(|byte| if matches!(byte, b'\n' | b'\r') { b' ' } else { byte }));
            out.push(b'}');
        }
        _ => json(&BinaryData { content_type, base64: STANDARD.encode(data) }, out),
    }
}

#[cfg(test)]
mod tests;
