//! One file of an input, from its address to the directory of its job. One attempt (Hub contract, 14.3).

use std::{
    fmt, fs,
    fs::File,
    io::{self, Write as _},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use gen_worker_hub::{Digest, digest::DigestHasher};
use gen_worker_tasks::Scope;
use reqwest::{Response, Url, header};

use super::{
    error::InputError, mime::MimeList, picture::PictureLimits, public_address::AddressRule, storage::StorageBase,
    web::Web,
};

/// Kind of a file whose server does not say it.
const BYTES: &str = "application/octet-stream";

/// Bytes that are written at once (Hub contract, 14.2).
const CHUNK_BYTES: usize = 1024 * 1024;

/// Longest ending of a name that is kept, its dot included: longer ones name no kind of file.
const EXTENSION_BYTES_MAX: usize = 10;

/// The numbers of fetches. The default is the contract's (14.2).
#[derive(Clone, Debug)]
pub struct InputOptions {
    /// Time for one file.
    pub time_max: Duration,
    /// Bytes of one file, when its declaration does not say it.
    pub bytes_max: u64,
    /// Which hosts may be asked.
    pub addresses: AddressRule,
    /// The buckets of the pool's own storage: files below these places are fetched wherever they are.
    pub storage: Vec<StorageBase>,
    /// PEM roots that are trusted besides the system's.
    pub extra_roots: Option<Vec<u8>>,
}

/// Fetches files of inputs. Cheap to clone; clones share connections.
#[derive(Clone)]
pub struct InputFetcher {
    web: Web,
    options: Arc<InputOptions>,
    scope: Arc<Scope>,
}

/// One file to fetch.
#[derive(Clone, Debug)]
pub struct InputRequest<'a> {
    /// Where it is. May carry a permission in its query, so it is shown to nobody.
    pub url: &'a str,
    /// Which of the job's files it is.
    pub number: usize,
    /// Where it is put. Must exist; belongs to the job alone.
    pub directory: &'a Path,
    /// Bytes that it may have; none means those of the options.
    pub bytes_max: Option<u64>,
    /// What it may be.
    pub accepted: &'a MimeList,
    /// Hashes that it has to have.
    pub expected: &'a [Digest],
    /// How large it may be when it is a picture. With any limit it has to be one.
    pub picture: PictureLimits,
    /// An address of the pool's own storage: files of the same origin are fetched wherever that is.
    pub own: Option<&'a str>,
}

/// A file that is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InputAsset {
    /// Where.
    pub path: PathBuf,
    /// How large it is.
    pub size_bytes: u64,
    /// Kind of content, as its server said it.
    pub mime_type: String,
}

/// A file that is being written, and its hashes.
struct Writing {
    file: File,
    hashers: Vec<(Digest, DigestHasher)>,
}

/// A file that goes unless it is kept.
struct Unfinished {
    path: PathBuf,
    kept: bool,
}

impl Default for InputOptions {
    fn default() -> Self {
        Self {
            time_max: Duration::from_secs(120),
            bytes_max: 50 << 20,
            addresses: AddressRule::Public,
            storage: Vec::new(),
            extra_roots: None,
        }
    }
}

impl InputFetcher {
    /// A fetcher that writes in `scope`.
    ///
    /// # Errors
    /// [`InputError::Setup`] when the trusted roots cannot be used.
    pub fn new(options: InputOptions, scope: Arc<Scope>) -> Result<Self, InputError> {
        let web = Web::new(options.addresses, options.storage.clone().into(), options.extra_roots.as_deref())?;
        Ok(Self { web, options: Arc::new(options), scope })
    }

    /// Fetches one file.
    ///
    /// # Errors
    /// [`InputError`]. Nothing of the file is left then.
    ///
    /// # Cancel safety
    /// May be dropped: nothing of the file is left.
    pub async fn fetch(&self, request: &InputRequest<'_>) -> Result<InputAsset, InputError> {
        let fetched = tokio::time::timeout(self.options.time_max, self.fetched(request));
        fetched.await.unwrap_or(Err(InputError::Late))
    }

    async fn fetched(&self, request: &InputRequest<'_>) -> Result<InputAsset, InputError> {
        let url: Url = request.url.parse().map_err(|_| InputError::Address)?;
        let path = request.directory.join(format!("input-{}{}", request.number, extension(&url)));
        let bytes_max = request.bytes_max.unwrap_or(self.options.bytes_max);
        let response = self.web.get(url, request.own).await?;
        if !response.status().is_success() {
            return Err(InputError::Status { status: response.status().as_u16() });
        }
        if response.content_length().is_some_and(|length| length > bytes_max) {
            return Err(InputError::TooLarge { bytes_max });
        }
        let mime_type = mime_type(&response);
        if !request.accepted.accepts(&mime_type) {
            return Err(InputError::Type { mime_type });
        }
        let size_bytes = self.write(response, &path, bytes_max, request).await?;
        Ok(InputAsset { path, size_bytes, mime_type })
    }

    /// Writes the body to a new file at `path`. Gives its size.
    async fn write(
        &self,
        mut response: Response,
        path: &Path,
        bytes_max: u64,
        request: &InputRequest<'_>,
    ) -> Result<u64, InputError> {
        let own = path.to_owned();
        let hashers = request.expected.iter().map(|digest| (*digest, DigestHasher::new(digest.algorithm()))).collect();
        let created = self.on_disk(path, move || {
            let file = File::create_new(&own)?;
            // Made here, so that the file goes also when nobody waits for it any more.
            Ok((Writing { file, hashers }, Unfinished { path: own, kept: false }))
        });
        let (mut writing, mut unfinished) = created.await?;
        let (mut size_bytes, mut chunk) = (0_u64, Vec::new());
        loop {
            let piece = response.chunk().await.map_err(Web::failed)?;
            let is_last = piece.is_none();
            let piece = piece.unwrap_or_default();
            size_bytes = size_bytes.saturating_add(piece.len() as u64);
            if size_bytes > bytes_max {
                return Err(InputError::TooLarge { bytes_max });
            }
            chunk.extend_from_slice(&piece);
            if chunk.len() >= CHUNK_BYTES || is_last {
                let full = std::mem::take(&mut chunk);
                writing = self.on_disk(path, move || writing.with(&full)).await?;
            }
            if is_last {
                writing.verify()?;
                self.measure(path, request.picture).await?;
                unfinished.kept = true;
                return Ok(size_bytes);
            }
        }
    }

    /// Whether a picture is as large as it may be.
    async fn measure(&self, path: &Path, limits: PictureLimits) -> Result<(), InputError> {
        if !limits.is_any() {
            return Ok(());
        }
        let own = path.to_owned();
        self.on_disk(path, move || limits.check(File::open(own)?)).await?
    }

    async fn on_disk<T: Send + 'static>(
        &self,
        path: &Path,
        work: impl FnOnce() -> io::Result<T> + Send + 'static,
    ) -> Result<T, InputError> {
        match self.scope.spawn_blocking(work).await {
            Ok(done) => done.map_err(|source| InputError::Disk { path: path.to_owned(), source }),
            Err(_) => Err(InputError::Closed),
        }
    }
}

impl Writing {
    fn with(mut self, bytes: &[u8]) -> io::Result<Self> {
        self.file.write_all(bytes)?;
        self.hashers.iter_mut().for_each(|(_, hasher)| hasher.update(bytes));
        Ok(self)
    }

    fn verify(&self) -> Result<(), InputError> {
        let wrong = self.hashers.iter().find(|(expected, hasher)| hasher.digest() != *expected);
        wrong.map_or(Ok(()), |(expected, _)| Err(InputError::Digest { algorithm: expected.algorithm().as_str() }))
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        if !self.kept {
            // The directory goes with the job anyhow.
            drop(fs::remove_file(&self.path));
        }
    }
}

/// The ending of the last name in the path, when it looks like one.
fn extension(url: &Url) -> String {
    let name = url.path_segments().and_then(|mut names| names.next_back()).unwrap_or_default();
    let ending = name.rfind('.').and_then(|dot| name.get(dot..)).unwrap_or_default();
    let is_plain = ending.bytes().skip(1).all(|byte| byte.is_ascii_alphanumeric());
    if is_plain && (2..=EXTENSION_BYTES_MAX).contains(&ending.len()) { ending.to_owned() } else { String::new() }
}

fn mime_type(response: &Response) -> String {
    let said = response.headers().get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
    let kind = said.and_then(|kind| kind.split(';').next()).map(|kind| kind.trim().to_ascii_lowercase());
    kind.filter(|kind| !kind.is_empty()).unwrap_or_else(|| BYTES.to_owned())
}

impl fmt::Debug for InputFetcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InputFetcher").field("options", &self.options).finish_non_exhaustive()
    }
}
