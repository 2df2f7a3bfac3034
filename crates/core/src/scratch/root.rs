//! The directory of a process, with those of its jobs in it.

use std::{
    fs::{self, DirBuilder, File, TryLockError},
    io,
    os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use gen_worker_tasks::Scope;
use tracing::{info, warn};

use super::{Place, Scratch};
use crate::backoff::random_unit;

/// Ending of the file that a process holds while it lives.
const LOCK: &str = "lock";

/// For the user alone: files of jobs are the clients'.
const MODE: u32 = 0o700;

/// Directories of jobs, under one for this process. Cheap to clone; gone with the last clone.
#[derive(Clone, Debug)]
pub struct ScratchRoot(Arc<Own>);

#[derive(Debug)]
struct Own {
    path: PathBuf,
    lock: PathBuf,
    /// Held until the directory is gone.
    _held: File,
    next: AtomicU64,
    scope: Arc<Scope>,
}

impl ScratchRoot {
    /// Makes a directory for this process in `root`, and removes those of processes that are gone. Removals of jobs run in
    /// `scope`. Blocks.
    ///
    /// # Errors
    /// When it cannot be made, and when `root` is another user's.
    pub fn open(root: &Path, scope: Arc<Scope>) -> io::Result<Self> {
        DirBuilder::new().recursive(true).mode(MODE).create(root)?;
        let name = format!("{}-{:08x}", std::process::id(), (random_unit() * f64::from(u32::MAX)) as u32);
        let lock = root.join(&name).with_extension(LOCK);
        let held = held(&lock)?;
        let path = root.join(name);
        DirBuilder::new().mode(MODE).create(&path)?;
        let own = Own { path, lock, _held: held, next: AtomicU64::new(0), scope };
        // In a place that others may write to, somebody else may have been first.
        let (ours, theirs) = (fs::symlink_metadata(&own.path)?, fs::symlink_metadata(root)?);
        if !theirs.is_dir() || theirs.uid() != ours.uid() {
            let message = format!("{} belongs to somebody else", root.display());
            return Err(io::Error::new(io::ErrorKind::PermissionDenied, message));
        }
        sweep(root, &own.lock);
        Ok(Self(Arc::new(own)))
    }

    /// The directory of a new job. Nothing is made yet.
    #[must_use]
    pub fn scratch(&self) -> Scratch {
        let number = self.0.next.fetch_add(1, Ordering::Relaxed);
        Scratch::at(Place::Own(self.clone(), number), self.0.scope.clone())
    }

    /// That of the job with this number.
    pub(super) fn directory(&self, number: u64) -> PathBuf {
        self.0.path.join(number.to_string())
    }
}

impl Drop for Own {
    fn drop(&mut self) {
        // What cannot be removed now is removed by the next process.
        drop(fs::remove_dir_all(&self.path));
        drop(fs::remove_file(&self.lock));
    }
}

/// A lock file that is held. Somebody who sweeps may take it for one that was left, in the moment before it is locked.
fn held(path: &Path) -> io::Result<File> {
    loop {
        let file = File::options().create(true).append(true).mode(0o600).open(path)?;
        match file.try_lock() {
            Ok(()) if is_named(&file, path)? => return Ok(file),
            Ok(()) | Err(TryLockError::WouldBlock) => {}
            Err(TryLockError::Error(error)) => return Err(error),
        }
    }
}

fn is_named(file: &File, path: &Path) -> io::Result<bool> {
    let held = file.metadata()?;
    match fs::symlink_metadata(path) {
        Ok(named) => Ok((named.dev(), named.ino()) == (held.dev(), held.ino())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

/// Removes what processes have left that are gone.
fn sweep(root: &Path, own: &Path) {
    let entries = match fs::read_dir(root) {
        Ok(entries) => entries,
        Err(error) => return warn!(root = %root.display(), %error, "what earlier processes left cannot be looked at"),
    };
    for path in entries.flatten().map(|entry| entry.path()) {
        if path != own && path.extension().is_some_and(|extension| extension == LOCK) {
            match left(&path) {
                Ok(true) => info!(path = %path.display(), "removed what a process left that was killed"),
                Ok(false) => {}
                Err(error) => warn!(path = %path.display(), %error, "what a process left cannot be removed"),
            }
        }
    }
}

/// Removes the directory of this lock, if nobody holds it.
fn left(lock: &Path) -> io::Result<bool> {
    let gone = |error: io::Error| if error.kind() == io::ErrorKind::NotFound { Ok(()) } else { Err(error) };
    let file = match File::options().append(true).open(lock) {
        Err(error) => return gone(error).map(|()| false),
        Ok(file) => file,
    };
    match file.try_lock() {
        Ok(()) if is_named(&file, lock)? => {}
        Ok(()) | Err(TryLockError::WouldBlock) => return Ok(false),
        Err(TryLockError::Error(error)) => return Err(error),
    }
    fs::remove_dir_all(lock.with_extension("")).or_else(gone)?;
    fs::remove_file(lock).or_else(gone)?;
    Ok(true)
}
