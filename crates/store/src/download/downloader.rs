//! One file from its server to its final place. Owns the connections.

use std::{path::PathBuf, sync::Arc, time::Duration};

use gen_worker_hub::Blake3Hash;
use reqwest::{Response, header};
use tokio::{
    sync::{Semaphore, mpsc},
    time::Instant,
};
use tracing::debug;

use super::{
    options::TransferOptions,
    pump::{BATCHES_WAITING_MAX, Ended, Pump, write},
    reply::{Head, Verdict},
    transport::{Cause, Odd, Transport},
    tries::{Fault, Tries, random_unit},
};
use crate::{
    disk_pool::DiskPool,
    fetch_error::FetchError,
    lock::StoreLock,
    part::Part,
    progress::{Progress, Transferred},
    wanted::Wanted,
};

/// Downloads files.
#[derive(Clone, Debug)]
pub(crate) struct Downloader {
    transport: Transport,
    sockets: Arc<Semaphore>,
    disk: DiskPool,
    options: Arc<TransferOptions>,
}

/// One file to download.
pub(crate) struct Job {
    pub(crate) wanted: Wanted,
    /// Where it is put while it comes.
    pub(crate) part: PathBuf,
    /// Where it is put when it is verified.
    pub(crate) place: PathBuf,
    /// Bytes that may be written: a file of unknown size may not fill the disk.
    pub(crate) limit_bytes: u64,
    /// Another time than [`TransferOptions::stall`].
    pub(crate) stall: Option<Duration>,
    /// Which transfers of one snapshot share.
    pub(crate) slots: Arc<Semaphore>,
    /// Makes this the only download of the file, of all processes.
    pub(crate) lock: Arc<StoreLock>,
}

/// Why a file does not come. Who wants it knows its name.
#[derive(Debug)]
pub(crate) enum Failure {
    /// For a reason that has no file in it.
    Final(FetchError),
    /// The server does not give it, with this status.
    Refused(u16),
    /// Other bytes came than were promised.
    Wrong,
    /// The transfer failed.
    Passing(Cause),
}

impl From<FetchError> for Failure {
    fn from(error: FetchError) -> Self {
        Self::Final(error)
    }
}

impl Downloader {
    pub(crate) fn new(options: TransferOptions, disk: DiskPool) -> Result<Self, FetchError> {
        let transport = Transport::new(&options)?;
        let sockets = Arc::new(Semaphore::new(options.sockets.max(1)));
        Ok(Self { transport, sockets, disk, options: Arc::new(options) })
    }

    /// Files of one snapshot that may come at once.
    pub(crate) fn blobs_at_once(&self) -> usize {
        self.options.blobs.max(1)
    }

    /// Downloads the file of `job`; it is verified, in its final place and durable on return. Gives its bytes.
    ///
    /// # Cancel safety
    /// May be dropped: what came is kept for the next download.
    pub(crate) async fn run(&self, job: &Job, progress: &dyn Progress) -> Result<u64, Failure> {
        let (begun, mut tries) = (Instant::now(), Tries::default());
        loop {
            let failure = match self.attempt(job, progress).await {
                Ok(bytes) => return Ok(bytes),
                Err(failure) => failure,
            };
            let fault = match failure {
                Failure::Final(_) | Failure::Refused(_) => return Err(failure),
                Failure::Wrong => Fault::Wrong,
                Failure::Passing(_) => Fault::Passing,
            };
            let Some(wait) = tries.after(fault, begun.elapsed(), random_unit(), &self.options) else {
                return Err(failure);
            };
            debug!(place = %job.place.display(), ?fault, wait_ms = wait.as_millis(), "a download failed, trying again");
            tokio::time::sleep(wait).await;
        }
    }

    async fn attempt(&self, job: &Job, progress: &dyn Progress) -> Result<u64, Failure> {
        let size = job.wanted.size;
        let part = self.open(job).await?;
        progress.transferred(Transferred { bytes_done: part.len(), bytes_total: job.total() });
        if size.exactly().is_some_and(|size| part.len() == size && size > 0) {
            return self.finish(job, part).await;
        }
        // Nobody closes the semaphores.
        let slot = job.slots.acquire().await.map_err(|_| FetchError::Closed)?;
        let socket = self.sockets.acquire().await.map_err(|_| FetchError::Closed)?;
        let (mut response, part) = self.ask(job, part).await?;
        let ranged = part.len() > 0;
        let framed = response.content_length().is_some() || response.headers().contains_key(header::TRANSFER_ENCODING);
        let (ended, part) = self.pour(job, part, &mut response, progress).await?;
        // What follows needs the disk only: the next file may come meanwhile.
        drop((slot, socket, response));
        match ended {
            Ended::Overlong if size.at_most().is_none() => return Err(self.too_large(job, part).await.into()),
            Ended::Overlong => return Err(self.discard(part).await),
            Ended::Broken(cause) => return Err(Failure::Passing(cause)),
            Ended::Well | Ended::Unwanted => {}
        }
        match size.fits(part.len()) {
            true => self.finish(job, part).await,
            // A server may give less than the rest of a file, and a body that nothing frames ends with its connection.
            false if ranged || !framed => Err(Failure::Passing(Arc::new(Odd::EndedEarly))),
            false => Err(self.discard(part).await),
        }
    }

    /// Opens the part on the disk pool: all of it is read.
    async fn open(&self, job: &Job) -> Result<Part, FetchError> {
        let (path, lock) = (job.part.clone(), Arc::clone(&job.lock));
        let (expected, size) = (job.wanted.expected, job.wanted.size);
        let failed = FetchError::disk("open of a part", &job.part);
        self.disk.run(move || Part::open(&path, expected, size, lock).map_err(failed)).await
    }

    /// The answer whose body comes next, and the part that it goes on with.
    async fn ask(&self, job: &Job, part: Part) -> Result<(Response, Part), Failure> {
        let mut part = part;
        loop {
            let asked = self.transport.get(&job.wanted.url, job.wanted.credential.as_ref(), part.len());
            let asked = tokio::time::timeout(self.stall(job), asked).await;
            let response = match asked {
                Ok(Ok(response)) => response,
                Ok(Err(cause)) => return Err(Failure::Passing(cause)),
                Err(_) => return Err(Failure::Passing(Arc::new(Odd::Stalled))),
            };
            let status = response.status().as_u16();
            let content_range = response.headers().get(header::CONTENT_RANGE).and_then(|value| value.to_str().ok());
            let head = Head { status, content_range, content_length: response.content_length() };
            match head.verdict(part.len(), job.wanted.size) {
                Verdict::Take => return Ok((response, part)),
                // Asked for from its beginning a file is not restarted again, so this ends.
                Verdict::Restart => part = self.restarted(job, part).await?,
                Verdict::Expired => return Err(Failure::Refused(status)),
                Verdict::Again => return Err(Failure::Passing(Arc::new(Odd::Status(status)))),
                Verdict::Wrong => return Err(Failure::Wrong),
            }
        }
    }

    async fn restarted(&self, job: &Job, mut part: Part) -> Result<Part, FetchError> {
        let failed = FetchError::disk("restart of a part", &job.part);
        self.disk.run(move || part.restart().map(|()| part).map_err(failed)).await
    }

    /// The body of `response` into `part`.
    async fn pour(
        &self,
        job: &Job,
        part: Part,
        response: &mut Response,
        progress: &dyn Progress,
    ) -> Result<(Ended, Part), FetchError> {
        let (batches, waiting) = mpsc::channel(BATCHES_WAITING_MAX);
        let (used, free) = mpsc::channel(BATCHES_WAITING_MAX);
        let (from, limit) = (part.len(), job.wanted.size.at_most().unwrap_or(job.limit_bytes));
        let writer = self.disk.scope().spawn_blocking(move || write(part, waiting, &used));
        let pump = Pump { batches, free, from, limit, total: job.total(), stall: self.stall(job), progress };
        let ended = pump.run(response).await;
        match writer.await {
            Ok(Ok(part)) => Ok((ended, part)),
            Ok(Err(error)) => Err(FetchError::disk("write of a part", &job.part)(error)),
            Err(_) => Err(FetchError::Closed),
        }
    }

    fn stall(&self, job: &Job) -> Duration {
        job.stall.unwrap_or(self.options.stall)
    }

    /// A file whose size nobody told does not fit.
    async fn too_large(&self, job: &Job, part: Part) -> FetchError {
        let (path, available_bytes) = (job.part.clone(), job.limit_bytes);
        let full =
            FetchError::InsufficientDisk { path, required_bytes: available_bytes.saturating_add(1), available_bytes };
        self.restarted(job, part).await.err().unwrap_or(full)
    }

    /// Wrong bytes are not kept.
    async fn discard(&self, mut part: Part) -> Failure {
        let cut = move || part.restart().map_err(|error| FetchError::disk("cut of a part", part.path())(error));
        self.disk.run(cut).await.map_or_else(Failure::Final, |()| Failure::Wrong)
    }

    async fn finish(&self, job: &Job, part: Part) -> Result<u64, Failure> {
        let (place, bytes) = (job.place.clone(), part.len());
        let right = self.disk.run(move || part.finish(&place).map_err(FetchError::disk("finish of a blob", &place)));
        if right.await? { Ok(bytes) } else { Err(Failure::Wrong) }
    }
}

impl Failure {
    /// What it is for a blob of the hub.
    pub(crate) fn of_blob(self, blob: Blake3Hash) -> FetchError {
        match self {
            Self::Final(error) => error,
            Self::Refused(status) => FetchError::UrlExpired { blob, status },
            Self::Wrong => FetchError::DigestMismatch { blob },
            Self::Passing(source) => FetchError::Transfer { blob, source },
        }
    }
}

impl Job {
    fn total(&self) -> u64 {
        self.wanted.size.roughly().unwrap_or(0)
    }
}
