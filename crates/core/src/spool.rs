//! Results that are finished and not written yet, on disk: what a worker made in an hour outlives its process.
//!
//! ```text
//!   result ── keep ──> pending ── one thread: append, one fdatasync per batch ──> segment files
//!                                                                                   │
//!   written or withdrawn ── forget ──> (pending: never written) or mark, remove empty segment
//!   next process of the same worker id ── open ──> results in order, queued before its first Hello
//! ```
//! Keeping never delays a result: it leaves for the orchestrator at once, and what was written before the disk was
//! reached is never put on disk at all. A disk that fails or is full costs durability, never a result: they stay in
//! memory, with one warning. Delivery is at least once, as everywhere on this wire; the attempt fences duplicates.
//!
//! # Format
//! A directory per worker id, locked while a process uses it, holding `<number>.spool` files: 8 bytes of magic with
//! the version, then records (see `record`). Files are read up to the first record that does not check.

mod keeper;
mod record;
mod segments;

use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
    time::Duration,
};

use gen_worker_proto::pb;
use gen_worker_tasks::Scope;
use tracing::{info, warn};

use crate::outbox::JobEnd;
pub(crate) use keeper::Spool;
use segments::{Limits, Segments};

/// Handlers that ran at least this long are worth a disk write under [`SpoolPolicy::Auto`]: over a hundred times the
/// price of one `fdatasync`.
const COSTLY: Duration = Duration::from_millis(100);

/// Bytes of spool files unless told otherwise: thousands of results of the largest size that travels in the stream.
const BYTES_MAX: u64 = 256 * 1024 * 1024;

/// Bytes of one file: small enough that one late result does not hold much disk, large enough that files are few.
const SEGMENT_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// File whose lock says that a process uses the directory.
const LOCK: &str = "lock";

/// Which results are kept on disk until they are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SpoolPolicy {
    /// Those of handlers that ran 100 ms or longer, unless they were canceled or are to be repeated anyway.
    #[default]
    Auto,
    /// All results of accepted jobs.
    Always,
    /// None.
    Never,
}

/// Where and what to keep.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SpoolOptions {
    /// Directory that holds one directory per worker id. Created if it is not there, readable by its owner alone.
    pub dir: PathBuf,
    /// Which results.
    pub policy: SpoolPolicy,
    /// Bytes of files at once; beyond it results stay in memory.
    pub bytes_max: u64,
}

impl SpoolOptions {
    /// The defaults: costly results, at most 256 MiB.
    #[must_use]
    pub fn new(dir: impl Into<PathBuf>) -> Self {
        Self { dir: dir.into(), policy: SpoolPolicy::Auto, bytes_max: BYTES_MAX }
    }
}

/// Why there is no spool.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SpoolError {
    #[error("another process keeps results in {}", .0.display())]
    InUse(PathBuf),
    #[error("cannot {step} {}", path.display())]
    Io { step: &'static str, path: PathBuf, source: io::Error },
}

impl SpoolPolicy {
    /// Whether a result is kept.
    pub(crate) fn keeps(self, end: &JobEnd) -> bool {
        let costly = || {
            end.metrics
                .as_ref()
                .is_some_and(|metrics| u128::try_from(metrics.runtime_ms).unwrap_or(0) >= COSTLY.as_millis())
        };
        match self {
            Self::Never => false,
            Self::Always => true,
            Self::Auto => !matches!(end.status, pb::JobStatus::Canceled | pb::JobStatus::Retryable) && costly(),
        }
    }
}

/// A directory that is this process's alone until it is dropped.
#[derive(Debug)]
pub(crate) struct Claimed {
    dir: PathBuf,
    lock: File,
    /// The id whose results it holds.
    pub(crate) worker_id: String,
}

impl Claimed {
    /// The directory of `worker_id`. Blocks on the disk.
    ///
    /// # Errors
    /// When it cannot be made, or another process has it.
    pub(crate) fn of(options: &SpoolOptions, worker_id: &str) -> Result<Self, SpoolError> {
        let dir = options.dir.join(segments::directory_name(worker_id));
        create_private(&dir)?;
        Self::lock(dir, worker_id.to_owned())
    }

    /// A directory that an ended process left with results, whose id was made up behind `prefix`: only under that id are
    /// they still wanted. Blocks on the disk.
    pub(crate) fn orphan(options: &SpoolOptions, prefix: &str) -> Option<Self> {
        let entries = fs::read_dir(&options.dir).ok()?;
        let mut names: Vec<_> = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok()).collect();
        names.sort_unstable();
        let ids = names.into_iter().filter_map(|name| Some((segments::worker_id(&name)?, name)));
        ids.filter(|(id, _)| is_made_up(id, prefix)).find_map(|(id, name)| {
            let dir = options.dir.join(name);
            // Made-up ids are many and short-lived: a directory without results is of no use to anybody.
            if !segments::has_results(&dir) {
                return None;
            }
            Self::lock(dir, id).ok()
        })
    }

    /// Reads what is there and starts keeping. Blocks on the disk.
    ///
    /// # Errors
    /// When the directory cannot be read, or there is no thread.
    pub(crate) fn open(self, options: &SpoolOptions, scope: &Scope) -> Result<(Spool, Vec<JobEnd>), SpoolError> {
        let limits = Limits { bytes_max: options.bytes_max, segment_bytes_max: SEGMENT_BYTES_MAX };
        let (segments, found) = Segments::recover(&self.dir, limits)?;
        if found.lost_bytes > 0 {
            warn!(dir = %self.dir.display(), bytes = found.lost_bytes, "damaged end of kept results was cut");
        }
        if !found.ends.is_empty() {
            info!(
                results = found.ends.len(),
                worker_id = self.worker_id,
                "results of an earlier process are delivered now"
            );
        }
        let path = self.dir;
        let spool = Spool::start(segments, found.next_record, options.policy, self.lock, scope);
        let spool = spool.map_err(|source| SpoolError::Io { step: "start the thread that keeps", path, source })?;
        Ok((spool, found.ends))
    }

    fn lock(dir: PathBuf, worker_id: String) -> Result<Self, SpoolError> {
        let path = dir.join(LOCK);
        let opened = File::options().create(true).truncate(false).write(true).open(&path);
        let lock = opened.map_err(failed("open", &path))?;
        match lock.try_lock() {
            Ok(()) => Ok(Self { dir, lock, worker_id }),
            Err(fs::TryLockError::WouldBlock) => Err(SpoolError::InUse(dir)),
            Err(fs::TryLockError::Error(source)) => Err(SpoolError::Io { step: "lock", path, source }),
        }
    }
}

/// Whether `id` is `prefix` and the eight hex digits that are made up for workers without an id of their own.
fn is_made_up(id: &str, prefix: &str) -> bool {
    let digits = id.strip_prefix(prefix).filter(|digits| digits.len() == 8);
    digits.is_some_and(|digits| digits.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte)))
}

/// Makes `dir` and its parents for the owner alone: results are the clients' data.
fn create_private(dir: &Path) -> Result<(), SpoolError> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(dir).map_err(failed("create", dir))
}

fn failed(step: &'static str, path: &Path) -> impl FnOnce(io::Error) -> SpoolError {
    let path = path.to_owned();
    move |source| SpoolError::Io { step, path, source }
}

#[cfg(test)]
mod tests;
