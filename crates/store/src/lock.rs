//! Locks between processes: kernel locks on files of `locks/`, gone when their holder is (rules 6.20, 6.21).
//!
//! ```text
//! gc          alone: evicts          shared, for a moment: begins to use or to build something
//! use-<unit>  never waited for alone shared: uses a model
//! room        alone: decides whether something fits
//! room-<name> alone, for as long as its process has the store open: the file says what that was promised
//! snap-<id>   alone: builds or checks a tree; the file says which blobs the build needs
//! blob-<hex>  alone: downloads a blob
//! file-<id>   alone: downloads a file of a provider's model
//! dir-<id>    alone: makes files of a provider a model
//! index       alone, for a moment: changes the index
//! manifests   alone, for a moment: notes what a tree has to be
//! ```
//! So a download keeps nobody from evicting, and who evicts knows all that is needed: what begins later waits until it is done.
//! Waited for in this order only: `use-…`, `snap-…`, `room`, `gc`, `blob-…` or `file-…`, `dir-…`, `index`; of what is above, who holds `gc` alone tries only.
//! The file of a lock is removed by who holds it alone, so who gets a lock looks whether its file still has its name.

use std::{
    fs::{self, File, TryLockError},
    io,
    os::unix::fs::{FileExt as _, MetadataExt as _},
    path::{Path, PathBuf},
    time::Duration,
};

use crate::durable;

/// Between two looks at a lock that is held: soon at first, because most are held for a moment.
const LOOK_FIRST: Duration = Duration::from_millis(2);
const LOOK_LONGEST: Duration = Duration::from_millis(100);

/// How a lock is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Hold {
    /// With others that hold it so.
    Shared,
    /// Alone.
    Alone,
}

/// A lock that is held. Dropping it releases it.
#[derive(Debug)]
pub(crate) struct StoreLock {
    file: File,
    path: PathBuf,
}

impl StoreLock {
    /// Takes the lock `path` if it is free now.
    pub(crate) fn try_take(path: &Path, hold: Hold) -> io::Result<Option<Self>> {
        loop {
            let file = durable::writer(path)?;
            let taken = match hold {
                Hold::Shared => file.try_lock_shared(),
                Hold::Alone => file.try_lock(),
            };
            match taken {
                Ok(()) if is_named(&file, path)? => return Ok(Some(Self { file, path: path.to_owned() })),
                // Removed between the two: the name has another file, or none.
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => return Ok(None),
                Err(TryLockError::Error(error)) => return Err(error),
            }
        }
    }

    /// Waits for the lock in the kernel. For locks that are held for a moment only, and whose files stay. Blocks.
    pub(crate) fn take_briefly(path: &Path) -> io::Result<Self> {
        let file = durable::writer(path)?;
        file.lock()?;
        Ok(Self { file, path: path.to_owned() })
    }

    /// Waits for the lock. A wait in the kernel could not be given up, so it is looked at again and again.
    ///
    /// # Cancel safety
    /// May be dropped: then it is not taken.
    pub(crate) async fn take(path: &Path, hold: Hold) -> io::Result<Self> {
        let mut wait = LOOK_FIRST;
        loop {
            if let Some(lock) = Self::try_take(path, hold)? {
                return Ok(lock);
            }
            tokio::time::sleep(wait).await;
            wait = (wait * 2).min(LOOK_LONGEST);
        }
    }

    /// Writes what the holder wants others to know into the file of the lock. Blocks.
    pub(crate) fn note(&self, text: &[u8]) -> io::Result<()> {
        self.file.set_len(0)?;
        self.file.write_all_at(text, 0)
    }

    /// As [`StoreLock::note`] over an earlier note of the same length: a reader finds one or the other. Blocks.
    pub(crate) fn note_over(&self, text: &[u8]) -> io::Result<()> {
        self.file.write_all_at(text, 0)
    }

    /// Where its file is.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Removes the file of the lock, which has to be held alone. Blocks.
    pub(crate) fn remove(self) -> io::Result<()> {
        durable::remove_file(&self.path)
    }
}

/// Whether `file` is what `path` names.
fn is_named(file: &File, path: &Path) -> io::Result<bool> {
    let held = file.metadata()?;
    match fs::symlink_metadata(path) {
        Ok(named) => Ok((named.dev(), named.ino()) == (held.dev(), held.ino())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests;
