//! A file that a handler writes piece by piece and saves as a whole (endpoint contract, E-95). Owns the file while it grows;
//! it lies in the directory of the request and goes with it.

use std::{
    fs::File,
    io::{self, Write as _},
    path::PathBuf,
    time::{Duration, Instant},
};

use bytes::Bytes;
use serde_json::json;

use super::{RequestContext, event::RequestEvent, saving::blocking};
use crate::{
    saves::{Asset, FILE_BYTES_MAX, Save, SaveContent, file_ref},
    scratch::Scratch,
    worker_error::{Result, WorkerError},
};

/// Where the directory of a request has the files that grow.
const DIRECTORY: &str = "streams";

/// Bytes that are written to disk at once: small pieces are gathered.
const GATHERED_BYTES: usize = 1024 * 1024;

/// Least time between two events about what was written.
const TELL_EVERY: Duration = Duration::from_millis(200);

/// Kind of the events about it.
const EVENT: &str = "request.upload_progress";

/// How a stream is opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StreamOptions {
    /// Whether a file that is there under the ref already is an error, and not replaced.
    pub create: bool,
    /// Bytes that will come, when that is known: a file above the limit is refused before its first byte.
    pub expected_bytes: Option<u64>,
}

/// A file that grows until it is saved. What is not finalized is gone when this drops.
#[derive(Debug)]
pub struct OutputStream {
    context: RequestContext,
    reference: String,
    create: bool,
    path: PathBuf,
    state: State,
    counts: Counts,
}

#[derive(Debug)]
enum State {
    /// It grows; `gathered` is not on disk yet.
    Open { file: File, gathered: Vec<u8> },
    /// It is saved.
    Saved(Box<Asset>),
    /// It was given up, or a write of it was dropped.
    Over,
}

/// What was done so far, and what of it was told.
#[derive(Clone, Copy, Debug)]
struct Counts {
    bytes_written: u64,
    chunks_written: u64,
    began: Instant,
    told: Instant,
}

impl RequestContext {
    /// Opens a file that is written piece by piece and saved under `reference` when it is finalized.
    ///
    /// # Errors
    /// [`WorkerError::canceled`] once the request is cancelled, a ref that is none, a size above the limit, and no place on
    /// disk.
    ///
    /// # Cancel safety
    /// May be dropped.
    pub async fn open_output_stream(&self, reference: &str, options: StreamOptions) -> Result<OutputStream> {
        self.check_cancelled()?;
        let name = file_ref(reference)?.as_str().to_owned();
        bounded(options.expected_bytes.unwrap_or(0))?;
        let path = self.0.stream_path().await.map_err(failed)?;
        let made = path.clone();
        let file = self.parts().scratch.blocking(move || File::create_new(made)).await.map_err(failed)?;
        let (now, state) = (Instant::now(), State::Open { file, gathered: Vec::new() });
        let counts = Counts { bytes_written: 0, chunks_written: 0, began: now, told: now };
        Ok(OutputStream { context: self.clone(), reference: name, create: options.create, path, state, counts })
    }
}

impl super::Inner {
    /// A new place in the directory of the request.
    async fn stream_path(&self) -> io::Result<PathBuf> {
        let directory = self.parts.scratch.directory(DIRECTORY).await?;
        let number = self.streams.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        Ok(directory.join(number.to_string()))
    }
}

impl OutputStream {
    /// The ref that the file is saved under.
    #[must_use]
    pub fn reference(&self) -> &str {
        &self.reference
    }

    /// Bytes written so far.
    #[must_use]
    pub fn bytes_written(&self) -> u64 {
        self.counts.bytes_written
    }

    /// Appends `bytes`.
    ///
    /// # Errors
    /// [`WorkerError::canceled`] once the request is cancelled, which gives the stream up; too many bytes; a full disk; a
    /// stream that is over.
    ///
    /// # Cancel safety
    /// A write that is dropped gives the stream up.
    pub async fn write(&mut self, bytes: impl AsRef<[u8]>) -> Result<()> {
        let bytes = bytes.as_ref();
        self.check()?;
        let State::Open { gathered, .. } = &mut self.state else { return Err(over()) };
        let total = bounded(self.counts.bytes_written.saturating_add(bytes.len() as u64))?;
        gathered.extend_from_slice(bytes);
        self.counts.bytes_written = total;
        self.counts.chunks_written += u64::from(!bytes.is_empty());
        if gathered.len() >= GATHERED_BYTES {
            self.flush().await?;
        }
        if self.counts.told.elapsed() >= TELL_EVERY {
            self.tell("stream_write", None);
        }
        Ok(())
    }

    /// Writes what was gathered to disk.
    ///
    /// # Errors
    /// As [`OutputStream::write`].
    ///
    /// # Cancel safety
    /// As [`OutputStream::write`].
    pub async fn flush(&mut self) -> Result<()> {
        if let State::Saved(_) = self.state {
            return Ok(());
        }
        let State::Open { mut file, gathered } = std::mem::replace(&mut self.state, State::Over) else {
            return Err(over());
        };
        let written = self.scratch().blocking(move || file.write_all(&gathered).map(|()| (file, gathered))).await;
        let (file, mut gathered) = written.map_err(failed)?;
        gathered.clear();
        self.state = State::Open { file, gathered };
        Ok(())
    }

    /// Saves the file, and tells where it is. Once it is saved this gives the same again.
    ///
    /// # Errors
    /// As [`RequestContext::save_file`], and as [`OutputStream::write`].
    ///
    /// # Cancel safety
    /// Dropped on its way the stream is given up; nothing half is then to be found under the ref.
    pub async fn finalize(&mut self) -> Result<Asset> {
        if let State::Saved(asset) = &self.state {
            return Ok(Asset::clone(asset));
        }
        self.check()?;
        self.flush().await?;
        self.state = State::Over;
        self.tell("stream_upload", None);
        let (reference, content) = (self.reference.clone(), SaveContent::File(self.path.clone()));
        let saved = self.context.save(Save { reference, content, create: self.create }).await;
        let mut asset = match saved {
            Ok(asset) => asset,
            Err(error) => {
                self.tell("stream_aborted", Some(error.kind()));
                return Err(error);
            }
        };
        asset.stream_mode = Some(self.mode().to_owned());
        self.state = State::Saved(Box::new(asset.clone()));
        self.tell("stream_finalized", None);
        Ok(asset)
    }

    /// Gives the file up, unless it is saved.
    pub fn close(&mut self) {
        if let State::Open { .. } = self.state {
            self.state = State::Over;
            self.tell("stream_aborted", None);
        }
    }

    /// [`OutputStream::write`] for a handler that blocks a thread.
    ///
    /// # Errors
    /// As [`OutputStream::write`].
    pub fn write_blocking(&mut self, bytes: impl AsRef<[u8]>) -> Result<()> {
        blocking(self.write(bytes))
    }

    /// [`OutputStream::finalize`] for a handler that blocks a thread.
    ///
    /// # Errors
    /// As [`OutputStream::finalize`].
    pub fn finalize_blocking(&mut self) -> Result<Asset> {
        blocking(self.finalize())
    }

    /// Nothing is written or saved for a request that is cancelled.
    fn check(&mut self) -> Result<()> {
        self.context.check_cancelled().inspect_err(|_| self.close())
    }

    fn scratch(&self) -> Scratch {
        self.context.parts().scratch.clone()
    }

    fn mode(&self) -> &'static str {
        self.context.parts().saver.stream_mode()
    }

    fn tell(&mut self, stage: &str, error_class: Option<&str>) {
        let Counts { bytes_written, chunks_written, began, told } = self.counts;
        let saved = matches!(self.state, State::Saved(_));
        let uploaded = |count: u64| if saved { count } else { 0 };
        let rate = |since: Instant| uploaded(bytes_written) as f64 / since.elapsed().as_secs_f64().max(f64::EPSILON);
        let mut payload = json!({
            "stage": stage,
            "ref": self.reference,
            "stream_mode": self.mode(),
            "bytes_written": bytes_written,
            "bytes_uploaded": uploaded(bytes_written),
            "chunks_written": chunks_written,
            "chunks_uploaded": uploaded(chunks_written),
            "upload_bps": rate(began),
            "inst_upload_bps": rate(told),
            "elapsed_s": began.elapsed().as_secs_f64(),
        });
        if let (Some(class), Some(payload)) = (error_class, payload.as_object_mut()) {
            payload.insert("error_class".to_owned(), class.into());
        }
        self.counts.told = Instant::now();
        self.context.parts().events.emit(RequestEvent::now(EVENT, payload));
    }
}

impl Drop for OutputStream {
    fn drop(&mut self) {
        self.scratch().forget(std::mem::take(&mut self.path));
    }
}

fn bounded(bytes: u64) -> Result<u64> {
    if bytes > FILE_BYTES_MAX { Err(WorkerError::output_too_large(bytes, FILE_BYTES_MAX)) } else { Ok(bytes) }
}

fn failed(error: io::Error) -> WorkerError {
    WorkerError::resource(format!("an output stream cannot be written: {error}")).with_source(error)
}

fn over() -> WorkerError {
    WorkerError::fatal("StreamOver", "the output stream is over")
}
