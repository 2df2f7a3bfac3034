//! One part of a file to its address (Hub contract, 4b).

use std::{error::Error, fmt, sync::Arc, time::Duration};

use gen_worker_hub::{
    SignedUrl,
    api::{ErrorBody, PartEtag, PartRange},
    client::retry_after,
    redact,
};
use reqwest::{
    Body, Client, Response,
    header::{self, HeaderMap},
};
use tokio::sync::Semaphore;
use tracing::debug;

use super::{
    content::Source,
    error::UploadError,
    options::UploadOptions,
    pace::{Audience, Pace},
    part_body::{PartBody, Sha256OnTheWay, Turn},
    part_connections::PartConnections,
};
use crate::{
    download::random_unit,
    input::{InputError, refused},
};
use gen_worker_tasks::Scope;

/// Excerpt of what a server said, in characters (Hub contract, 1.10).
const EXCERPT_CHARS: usize = 300;

/// Bytes of an answer that are read: for the excerpt, and so that its connection can be used again.
const ANSWER_BYTES_MAX: usize = 4 * EXCERPT_CHARS;

/// What all parts of one file share.
pub(super) struct PartSender<'a> {
    pub(super) source: &'a Source,
    pub(super) connections: Arc<PartConnections>,
    /// What goes with each request.
    pub(super) headers: HeaderMap,
    /// Whether a part that is taken without an ETag counts as lost.
    pub(super) needs_etag: bool,
    /// Who wants to know the SHA-256 of each part.
    pub(super) sha256: Option<Sha256OnTheWay>,
    pub(super) audience: Audience,
    pub(super) options: &'a UploadOptions,
    /// Who sends a part of this file has one of them until its last byte is on the way.
    pub(super) turns: Arc<Semaphore>,
    /// Parts at once, of all files of the process.
    pub(super) sockets: &'a Semaphore,
    pub(super) scope: &'a Scope,
}

/// How one attempt failed.
enum Fault {
    Final(UploadError),
    Passing {
        cause: Cause,
        broken: bool,
        /// The wait that the server asks for.
        asked: Option<Duration>,
    },
}

type Cause = Arc<dyn Error + Send + Sync>;

/// What an attempt failed of when no error of a library says it.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Odd {
    Stalled,
    /// And the server's word for it, where it has one.
    Status(u16, Option<String>),
}

impl PartSender<'_> {
    /// Sends one part, again after faults that may pass.
    ///
    /// # Cancel safety
    /// May be dropped: its request ends, and no other is made.
    pub(super) async fn send(&self, range: PartRange, url: &SignedUrl) -> Result<PartEtag, UploadError> {
        let number = range.number;
        let mut failures = 0;
        loop {
            let (source, asked) = match self.attempt(range, url, failures == 0).await {
                Ok(etag) => return Ok(PartEtag { part_number: number, etag }),
                Err(Fault::Final(error)) => return Err(error),
                Err(Fault::Passing { cause, broken, asked }) => {
                    if broken {
                        self.connections.forget();
                    }
                    (cause, asked)
                }
            };
            failures += 1;
            let Some(wait) = self.options.part_retry.wait(failures, asked, random_unit()) else {
                return Err(UploadError::Part { number, source });
            };
            debug!(number, cause = %source, wait_ms = wait.as_millis(), "a part failed, trying again");
            tokio::time::sleep(wait).await;
        }
    }

    async fn attempt(&self, range: PartRange, url: &SignedUrl, first: bool) -> Result<String, Fault> {
        // Nobody closes the semaphore.
        let turn = self.turns.clone().acquire_owned().await.map_err(|_| Fault::Final(UploadError::Closed))?;
        let (turn, _end) = Turn::new(turn);
        let _socket = self.sockets.acquire().await.map_err(|_| Fault::Final(UploadError::Closed))?;
        let client = if first { self.connections.kept() } else { self.connections.fresh() };
        let pace = Arc::new(Pace::new(self.audience.clone()));
        let (body, reader) = PartBody::of(self.source, range, pace.clone(), turn, self.sha256.as_ref(), self.scope);
        let request = put(&client.map_err(Fault::Final)?, url, range.length, first).headers(self.headers.clone());
        let answered = answered(request.body(Body::wrap(body)), range.number);
        let sent = pace.watch(self.options.part_stall, answered).await;
        let fault = match sent {
            Some(Ok(None)) if self.needs_etag => Fault::Final(UploadError::NoEtag { number: range.number }),
            Some(Ok(etag)) => return Ok(etag.unwrap_or_default()),
            Some(Err(fault)) => fault,
            None => Fault::Passing { cause: Arc::new(Odd::Stalled), broken: true, asked: None },
        };
        pace.undo();
        // The body went with the request, so the reader has ended or is about to.
        match reader {
            Some(reader) => match reader.await.unwrap_or(Err(UploadError::Closed)) {
                Err(error) => Err(Fault::Final(error)),
                Ok(()) => Err(fault),
            },
            None => Err(fault),
        }
    }
}

fn put(client: &Client, url: &SignedUrl, length: u64, first: bool) -> reqwest::RequestBuilder {
    let request = client.put(url.reveal()).header(header::CONTENT_LENGTH, length);
    if first { request } else { request.header(header::CONNECTION, "close") }
}

/// Sends `request` and reads the answer.
async fn answered(request: reqwest::RequestBuilder, number: u32) -> Result<Option<String>, Fault> {
    let mut response = request.send().await.map_err(broken)?;
    let status = response.status();
    let asked = retry_after(response.headers());
    let etag = response.headers().get(header::ETAG).and_then(|etag| etag.to_str().ok()).map(str::to_owned);
    let etag = etag.filter(|etag| !etag.trim().is_empty());
    let said = said(&mut response).await;
    match status.as_u16() {
        200..=299 => Ok(etag),
        status @ (429 | 500..) => {
            let cause = Arc::new(Odd::Status(status, ErrorBody::code_of(&said)));
            Err(Fault::Passing { cause, broken: false, asked })
        }
        status => {
            let detail = redact(&String::from_utf8_lossy(&said), EXCERPT_CHARS);
            Err(Fault::Final(UploadError::PartRefused { number, status, detail }))
        }
    }
}

/// The beginning of what the server said. Its status and headers count even when this breaks.
async fn said(response: &mut Response) -> Vec<u8> {
    let mut said = Vec::new();
    while said.len() <= ANSWER_BYTES_MAX {
        match response.chunk().await {
            Ok(Some(piece)) => said.extend_from_slice(&piece),
            Ok(None) | Err(_) => break,
        }
    }
    said.truncate(ANSWER_BYTES_MAX);
    said
}

/// The address is taken out: it is a signed one.
fn broken(error: reqwest::Error) -> Fault {
    // A name that cannot be resolved now may be in a moment.
    if let Some(refusal) = refused(&error).filter(|refusal| !matches!(refusal, InputError::Unknown { .. })) {
        return Fault::Final(UploadError::Destination(refusal));
    }
    Fault::Passing { cause: Arc::new(error.without_url()), broken: true, asked: None }
}

impl fmt::Display for Odd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stalled => f.write_str("the server has stalled"),
            Self::Status(status, None) => write!(f, "the server answered with status {status}"),
            Self::Status(status, Some(code)) => write!(f, "the server answered with status {status} ({code})"),
        }
    }
}

impl Error for Odd {}
