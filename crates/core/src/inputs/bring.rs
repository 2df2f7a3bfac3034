//! The files of one payload, fetched. Owns the client for addresses and the bounds on what is fetched at once.

use std::{fmt, path::Path, sync::Arc, time::Duration};

use bytes::Bytes;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use gen_worker_hub::Digest;
use gen_worker_store::{InputAsset, InputError, InputFetcher, InputOptions, InputRequest, MimeList, PictureLimits};
use gen_worker_tasks::Scope;
use parking_lot::Mutex;
use serde_json::Value;
use tokio::sync::Semaphore;

use super::{
    found::{FileWords, Found, find},
    rewrite::{Edit, NewWords, rewritten},
    shapes::FileShapes,
};
use crate::{
    codec,
    function::Function,
    scratch::Scratch,
    worker_error::{Result, WorkerError},
};

/// Files that one payload may bring: pages of a document, frames of a short clip. More would make a worker ask strangers'
/// servers for whoever sent a small payload.
const FILES_MAX: usize = 256;

/// Files of one job that come at once, as for models.
const FILES_AT_ONCE: usize = 4;

/// Files that come at once in all: what is left of the network is for models and uploads.
const SOCKETS: usize = 16;

/// Time for all files of a job, which holds its place among the jobs of its function meanwhile.
const TIME_MAX: Duration = Duration::from_secs(600);

/// Whom errors of transfers name.
const PROVIDER: &str = "web";

/// Where an own directory of a job has the files of its payload.
const DIRECTORY: &str = "inputs";

/// How files of payloads are fetched.
#[derive(Clone, Debug)]
pub struct InputsOptions {
    /// Timeouts, and which hosts may be asked.
    pub fetch: InputOptions,
    /// Bytes of the largest file, whatever a payload says: a full disk would hurt all jobs.
    pub file_bytes_max: u64,
}

/// Brings files of payloads. Cheap to clone; clones share the bounds.
#[derive(Clone)]
pub struct Inputs(Arc<Shared>);

struct Shared {
    options: InputsOptions,
    scope: Arc<Scope>,
    /// Made for the first file: reading the trusted roots of the system takes longer than most workers need to start.
    fetcher: Mutex<Option<InputFetcher>>,
    sockets: Semaphore,
}

/// What one payload is brought with.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place<'a> {
    /// The directory of its job.
    pub(crate) scratch: &'a Scratch,
    /// The pool's own storage, whose addresses may be private.
    pub(crate) own: Option<&'a str>,
    /// Whether it came from this machine: then it may name files of it.
    pub(crate) local: bool,
}

impl Default for InputsOptions {
    fn default() -> Self {
        // The documented cap of older workers.
        Self { fetch: InputOptions::default(), file_bytes_max: 200 << 20 }
    }
}

impl Inputs {
    /// Brings files with tasks in `scope`. Asks nobody before the first.
    #[must_use]
    pub fn new(options: InputsOptions, scope: Arc<Scope>) -> Self {
        Self(Arc::new(Shared { options, scope, fetcher: Mutex::new(None), sockets: Semaphore::new(SOCKETS) }))
    }

    /// As a worker does for a request of its own machine: the files that `payload` of `function` names by an address are
    /// fetched into `scratch`, and files of this machine may be named as well.
    ///
    /// # Errors
    /// The first file that cannot be had.
    ///
    /// # Cancel safety
    /// May be dropped: what was fetched goes with the directory.
    pub async fn bring_local(&self, function: &Function, payload: &Value, scratch: &Scratch) -> Result<Value> {
        let Some(shapes) = function.files() else { return Ok(payload.clone()) };
        let place = Place { scratch, own: None, local: true };
        codec::to_json(&self.bring(shapes, codec::from_json(payload), place).await?)
    }

    /// Whether anything is to be done for `payload` before its handler can run.
    pub(crate) fn concern(shapes: &FileShapes, payload: &[u8]) -> bool {
        !find(shapes, payload, 0).is_empty()
    }

    /// Fetches the files that `payload` names by an address, and gives the payload that says where they are. What it says of
    /// places on this machine is dropped, unless it came from here.
    ///
    /// # Errors
    /// The first file that cannot be had.
    ///
    /// # Cancel safety
    /// May be dropped: what was fetched goes with the directory.
    pub(crate) async fn bring(&self, shapes: &FileShapes, payload: Bytes, place: Place<'_>) -> Result<Bytes> {
        let files = find(shapes, &payload, FILES_MAX);
        if files.is_empty() {
            return Ok(payload);
        }
        if files.len() > FILES_MAX {
            return Err(WorkerError::validation(format!("the payload names more than {FILES_MAX} files")));
        }
        let brought: Vec<_> = files.iter().enumerate().map(|(number, file)| self.edit(number, file, place)).collect();
        let brought = stream::iter(brought).buffered(FILES_AT_ONCE).try_collect::<Vec<_>>();
        let edits = tokio::time::timeout(TIME_MAX, brought).await;
        let late = || WorkerError::retryable("the files of the input did not come in time");
        rewritten(&payload, &edits.unwrap_or_else(|_| Err(late()))?)
    }

    async fn edit(&self, number: usize, file: &Found, place: Place<'_>) -> Result<Edit> {
        let Found { place: at, bytes, says } = file;
        let here = says.local_path.clone().filter(|path| place.local && !path.is_empty());
        let words = match (here, says.url()) {
            (Some(path), _) => NewWords { local_path: Some(path), ..NewWords::default() },
            (None, None) => NewWords::default(),
            (None, Some(url)) => {
                let fetched = self.fetched(number, url, says, place).await.map_err(|error| failed(at, error))?;
                let InputAsset { path, size_bytes, mime_type } = fetched;
                let mime_type = Some(mime_type).filter(|_| says.mime_type.as_ref().is_none_or(String::is_empty));
                let local_path = Some(text(&path).map_err(|error| failed(at, error))?);
                NewWords { local_path, size_bytes: Some(size_bytes), mime_type }
            }
        };
        Ok(Edit { bytes: bytes.clone(), words })
    }

    async fn fetched(&self, number: usize, url: &str, says: &FileWords, place: Place<'_>) -> Result<InputAsset, Why> {
        let Shared { options, sockets, .. } = &*self.0;
        // Nobody closes the semaphore.
        let _socket = sockets.acquire().await.map_err(|_| Why::File(InputError::Closed))?;
        let expected = expected(says)?;
        let accepted = says.url_allowed_mime_types.iter().flatten().filter(|kind| !kind.trim().is_empty());
        let accepted = MimeList::new(accepted);
        let set = |limit: Option<u64>| limit.filter(|limit| *limit > 0);
        let picture = PictureLimits {
            width_max: set(says.url_max_width),
            height_max: set(says.url_max_height),
            pixels_max: set(says.url_max_pixels),
        };
        let asked = set(says.url_max_bytes).unwrap_or(options.fetch.bytes_max);
        let directory = place.scratch.directory(DIRECTORY).await.map_err(Why::Scratch)?;
        let request = InputRequest {
            url,
            number,
            directory: &directory,
            bytes_max: Some(asked.min(options.file_bytes_max)),
            accepted: &accepted,
            expected: &expected,
            picture,
            own: place.own,
        };
        let fetcher = self.fetcher().await.map_err(Why::File)?;
        fetcher.fetch(&request).await.map_err(Why::File)
    }

    async fn fetcher(&self) -> Result<InputFetcher, InputError> {
        let shared = self.0.clone();
        let made = self.0.scope.spawn_blocking(move || {
            let mut fetcher = shared.fetcher.lock();
            match &*fetcher {
                Some(fetcher) => Ok(fetcher.clone()),
                None => {
                    let made = InputFetcher::new(shared.options.fetch.clone(), shared.scope.clone())?;
                    Ok(fetcher.insert(made).clone())
                }
            }
        });
        made.await.unwrap_or(Err(InputError::Closed))
    }
}

/// Why a file is not here.
enum Why {
    File(InputError),
    Scratch(std::io::Error),
    Hash(&'static str),
    Path,
}

/// The hashes that it has to have.
fn expected(says: &FileWords) -> Result<Vec<Digest>, Why> {
    let named = [("sha256", &says.sha256), ("blake3", &says.blake3)];
    let told = named.into_iter().filter_map(|(name, hex)| Some((name, hex.as_deref()?.trim())));
    let told = told.filter(|(_, hex)| !hex.is_empty());
    told.map(|(name, hex)| {
        let hex = hex.strip_prefix(name).and_then(|hex| hex.strip_prefix(':')).unwrap_or(hex);
        format!("{name}:{hex}").parse().map_err(|_| Why::Hash(name))
    })
    .collect()
}

/// Payloads are text, and so are the places that they name.
fn text(path: &Path) -> Result<String, Why> {
    path.to_str().map(str::to_owned).ok_or(Why::Path)
}

/// What the client hears of the file at `place`. Its address may carry a permission, so it is not repeated.
fn failed(place: &str, why: Why) -> WorkerError {
    let disk = |error| WorkerError::retryable("the files of the input could not be kept").with_source(error);
    match why {
        Why::Hash(name) => WorkerError::validation(format!("{name} is no hash - at `{place}`")),
        Why::Path => WorkerError::resource("the directory of jobs has a name that is no text"),
        Why::Scratch(error) => disk(error),
        Why::File(InputError::Disk { source, .. }) => disk(source),
        Why::File(InputError::Closed) => WorkerError::canceled(),
        Why::File(error) if error.is_invalid_input() => {
            WorkerError::validation(format!("{error} - at `{place}`")).with_source(error)
        }
        Why::File(error) => {
            let status = if let InputError::Status { status } = &error { Some(*status) } else { None };
            let cause = format!("{error} - at `{place}`");
            WorkerError::transfer(PROVIDER, "download", true, status, &cause).with_source(error)
        }
    }
}

impl fmt::Debug for Inputs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inputs").field("options", &self.0.options).finish_non_exhaustive()
    }
}
