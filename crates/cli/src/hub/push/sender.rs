//! Sends the parts of one file (Hub contract, 4.8 and 6.5). Memory is one piece per part under way, whatever the size of a part.

use std::{
    io::{self, SeekFrom},
    path::Path,
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use gen_worker_hub::{
    SignedUrl,
    api::{ErrorBody, PartEtag, PartRange, PartUrls},
    client::{HubError, RetryPolicy, retry_after, tls_config},
};
use http::header;
use http_body_util::StreamBody;
use hyper::body::Frame;
use tokio::{
    fs::File,
    io::{AsyncReadExt as _, AsyncSeekExt as _},
};

/// Parts of one file that are sent at once (Hub contract, 4.13).
const PARTS_AT_ONCE: usize = 4;

/// Bytes read at once.
const PIECE_BYTES: usize = 256 * 1024;

/// A connection, and the whole of one part (Hub contract, 6.4 and section 15).
const CONNECT_TIMEOUT: Duration = Duration::from_secs(30);
const PART_TIMEOUT: Duration = Duration::from_secs(600);

/// Bytes of a refusal that are read: longer ones have no short word.
const ANSWER_BYTES_MAX: usize = 4096;

/// Why a part did not arrive. No address is in it.
#[derive(Debug, thiserror::Error)]
pub(super) enum SendError {
    /// No connections can be made.
    #[error("no connections can be made")]
    Setup(#[source] reqwest::Error),
    /// The trusted roots of this machine.
    #[error(transparent)]
    Roots(HubError),
    /// The file cannot be read.
    #[error("cannot read it")]
    Read(#[source] io::Error),
    /// The connection failed in every attempt.
    #[error("part {part} was not sent")]
    Transport {
        /// Which.
        part: u32,
        /// Why, without the address.
        #[source]
        source: reqwest::Error,
    },
    /// The server refused it.
    #[error("part {part} was refused with status {status}{code}")]
    Refused {
        /// Which.
        part: u32,
        /// The status.
        status: u16,
        /// The server's word for it, in brackets, where it has one.
        code: String,
    },
}

/// Sends parts over connections that it keeps.
#[derive(Debug)]
pub(super) struct Sender(reqwest::Client);

impl Sender {
    /// Has not connected yet.
    pub(super) fn new() -> Result<Self, SendError> {
        let client = reqwest::Client::builder()
            .tls_backend_preconfigured(tls_config(None).map_err(SendError::Roots)?)
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .no_proxy()
            .referer(false)
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(PART_TIMEOUT)
            .build();
        client.map(Self).map_err(SendError::Setup)
    }

    /// Sends all parts of `file` and answers with what the server calls them.
    ///
    /// # Cancel safety
    /// May be dropped; parts that arrived end with their upload.
    pub(super) async fn send(&self, file: &Path, parts: &PartUrls) -> Result<Vec<PartEtag>, SendError> {
        let sends = parts.parts().map(|(range, url)| self.part(file, range, url));
        stream::iter(sends).buffer_unordered(PARTS_AT_ONCE).try_collect().await
    }

    async fn part(&self, file: &Path, range: PartRange, url: &SignedUrl) -> Result<PartEtag, SendError> {
        let part = range.number;
        let mut failures = 0;
        loop {
            let result = self.put(file, range, url).await;
            let mut asked = None;
            let error = match result {
                Ok(reply) if reply.status().is_success() => {
                    let etag = reply.headers().get(header::ETAG).and_then(|etag| etag.to_str().ok());
                    // A server without ETags takes an empty one (4.9).
                    return Ok(PartEtag { part_number: part, etag: etag.unwrap_or_default().to_owned() });
                }
                Ok(reply) => {
                    let status = reply.status().as_u16();
                    asked = retry_after(reply.headers());
                    let refused = SendError::Refused { part, status, code: code(reply).await };
                    if status != 429 && status < 500 {
                        return Err(refused);
                    }
                    refused
                }
                Err(SendError::Transport { source, .. }) => SendError::Transport { part, source: source.without_url() },
                Err(error) => return Err(error),
            };
            failures += 1;
            let spread = f64::from(u32::from(uuid::Uuid::new_v4().as_bytes()[0])) / 256.0;
            match RetryPolicy::CONTROL.wait(failures, asked, spread) {
                Some(wait) => tokio::time::sleep(wait).await,
                None => return Err(error),
            }
        }
    }

    async fn put(&self, path: &Path, range: PartRange, url: &SignedUrl) -> Result<reqwest::Response, SendError> {
        let mut file = File::open(path).await.map_err(SendError::Read)?;
        file.seek(SeekFrom::Start(range.offset)).await.map_err(SendError::Read)?;
        let request = self.0.put(url.reveal()).header(header::CONTENT_LENGTH, range.length);
        let pieces = stream::try_unfold((file, range.length), |(mut file, left)| async move {
            let piece = piece(&mut file, left).await?;
            let sent = piece.len() as u64;
            Ok::<_, io::Error>((sent > 0).then(|| (Frame::data(piece), (file, left.saturating_sub(sent)))))
        });
        let body = reqwest::Body::wrap(StreamBody::new(pieces));
        request.body(body).send().await.map_err(|source| SendError::Transport { part: range.number, source })
    }
}

/// The server's word for its refusal, in brackets; nothing where it has none.
async fn code(mut reply: reqwest::Response) -> String {
    let mut said = Vec::new();
    while said.len() <= ANSWER_BYTES_MAX {
        match reply.chunk().await {
            Ok(Some(piece)) => said.extend_from_slice(&piece),
            Ok(None) | Err(_) => break,
        }
    }
    ErrorBody::code_of(&said).map_or_else(String::new, |code| format!(" ({code})"))
}

/// The next bytes of a part; none at its end. A file that has become shorter is an error: the part would end early.
async fn piece(file: &mut File, left: u64) -> io::Result<Bytes> {
    let wanted = usize::try_from(left).map_or(PIECE_BYTES, |left| left.min(PIECE_BYTES));
    let mut piece = BytesMut::zeroed(wanted);
    file.read_exact(&mut piece).await?;
    Ok(piece.freeze())
}
