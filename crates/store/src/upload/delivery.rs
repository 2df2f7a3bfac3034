//! Files to where a client wants them, in storage of its own (Hub contract, 11.6): the oldest form of outputs. Nothing of the
//! hub is in it, and nobody of the pool's own network is asked.

use std::{fmt, sync::Arc};

use gen_worker_hub::{
    Blake3Hash, Digest, SignedUrl,
    api::{PartRange, TransferGrant},
};
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use tokio::sync::Semaphore;

use super::{
    content::{Measured, UploadContent},
    error::UploadError,
    grant::GrantSender,
    pace::Audience,
    part::PartSender,
    part_body::Sha256OnTheWay,
    uploader::Uploader,
};
use crate::{
    input::checked,
    progress::{Progress, Sum, Unheard},
};

/// Most headers that may go with a delivery: signed addresses need a handful.
const HEADERS_MAX: usize = 32;

/// Headers that frame a request, which are not the client's to say.
const FRAMING: [&str; 9] =
    ["connection", "content-length", "expect", "host", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade"];

/// Where a client wants a file.
#[derive(Clone, PartialEq, Eq)]
pub enum Destination {
    /// Written to this address, with these headers.
    Put {
        /// The address, which permits it.
        url: SignedUrl,
        /// Names and values. They may be secrets.
        headers: Vec<(String, String)>,
    },
    /// Written as this object of a bucket.
    Bucket(Box<TransferGrant>),
}

/// A file that is where it was wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivered {
    /// Its size.
    pub size_bytes: u64,
    /// Its content.
    pub blake3: Blake3Hash,
    /// SHA-256 of it in hexadecimal digits.
    pub sha256: String,
}

impl Uploader {
    /// Writes `content` to `destination`.
    ///
    /// # Errors
    /// [`UploadError`], with what to do about it in [`UploadError::failure`].
    ///
    /// # Cancel safety
    /// May be dropped: its requests end. What a server makes of half a file is its own business.
    pub async fn deliver(&self, destination: &Destination, content: UploadContent) -> Result<Delivered, UploadError> {
        let shared = &self.0;
        let rule = shared.options.outside;
        checked(destination.address(), rule).map_err(UploadError::Destination)?;
        // Nobody closes the semaphore.
        let _file = shared.files.acquire().await.map_err(|_| UploadError::Closed)?;
        let bytes_max = shared.options.file_bytes_max;
        let content = Arc::new(shared.blocking(move || Measured::of(content, bytes_max)).await?);
        let sha256 = match destination {
            Destination::Put { url, headers } => self.put(url, headers_of(headers)?, &content).await?,
            Destination::Bucket(grant) => self.write(grant, &content).await.map(|()| None)?,
        };
        let (size_bytes, blake3) = (content.size_bytes, content.blake3);
        let sha256 = match sha256 {
            Some(sha256) => sha256.hex(),
            None => shared.blocking(move || content.sha256()).await?,
        };
        Ok(Delivered { size_bytes, blake3, sha256 })
    }

    /// The SHA-256 of what was written, where it was computed on the way: a server may answer before it has everything.
    async fn put(
        &self,
        url: &SignedUrl,
        headers: HeaderMap,
        content: &Arc<Measured>,
    ) -> Result<Option<Digest>, UploadError> {
        let (shared, sha256) = (&self.0, Sha256OnTheWay::default());
        let sender = PartSender {
            source: &content.source,
            connections: shared.outside.connections(),
            headers,
            needs_etag: false,
            sha256: Some(sha256.clone()),
            audience: Audience { sum: Arc::new(Sum::of(content.size_bytes)), progress: Arc::new(Unheard) },
            options: &shared.options,
            turns: Arc::new(Semaphore::new(1)),
            sockets: &shared.sockets,
            scope: &shared.scope,
        };
        sender.send(PartRange { number: 1, offset: 0, length: content.size_bytes }, url).await?;
        let content = content.clone();
        shared.blocking(move || content.source.unchanged()).await?;
        Ok(sha256.known())
    }

    async fn write(&self, grant: &TransferGrant, content: &Arc<Measured>) -> Result<(), UploadError> {
        let shared = &self.0;
        let progress: Arc<dyn Progress> = Arc::new(Unheard);
        let sender = GrantSender {
            grant,
            content,
            progress: &progress,
            connections: &shared.outside,
            options: &shared.options,
            sockets: &shared.sockets,
            scope: &shared.scope,
        };
        sender.send().await.map(drop)
    }
}

impl Destination {
    fn address(&self) -> &str {
        match self {
            Self::Put { url, .. } => url.reveal(),
            Self::Bucket(grant) => grant.endpoint_url.reveal(),
        }
    }
}

fn headers_of(headers: &[(String, String)]) -> Result<HeaderMap, UploadError> {
    let wrong = |name: &str| UploadError::Header { name: name.chars().take(64).collect() };
    if headers.len() > HEADERS_MAX {
        return Err(wrong("more headers than there may be"));
    }
    let header = |(name, value): &(String, String)| {
        let (own, value) = (name.parse::<HeaderName>().ok()?, HeaderValue::from_str(value).ok()?);
        (!FRAMING.contains(&own.as_str())).then_some((own, value))
    };
    headers.iter().map(|pair| header(pair).ok_or_else(|| wrong(&pair.0))).collect()
}

impl fmt::Debug for Destination {
    /// Neither the permission nor the headers.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Put { url, headers } => {
                f.debug_struct("Put").field("url", url).field("headers", &headers.len()).finish()
            }
            Self::Bucket(grant) => f.debug_tuple("Bucket").field(grant).finish(),
        }
    }
}
