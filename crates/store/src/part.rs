//! A file while it comes: `<hex>.part`. Owns the open file, the hash of what is in it, and the lock that makes it the only one.
//!
//! What survives: a killed process loses what was not written yet, at most the pieces on their way to the disk (see
//! [`crate::download`]). Nobody waits for the disk before the part is complete: after a crash of the machine its end may be missing or
//! wrong, which its hash shows when it is complete, and then it comes again. A file in its final place is always synced. A part
//! that the disk refuses is not taken up again: what the kernel still shows of it may never have been written.

mod early_sync;

use std::{
    fs::File,
    io::{self, Seek as _, SeekFrom, Write as _},
    path::{Path, PathBuf},
    sync::Arc,
};

pub(crate) use early_sync::EarlySync;

use crate::{
    blob, durable,
    lock::StoreLock,
    wanted::{Expected, Hasher, Size},
};

/// A file that is not complete.
pub(crate) struct Part {
    file: File,
    path: PathBuf,
    expected: Expected,
    hasher: Hasher,
    len: u64,
    _lock: Arc<StoreLock>,
}

impl Part {
    /// Opens what there is of the file that is `expected` and hashes it; what cannot be the beginning of it is cut off (rule
    /// 6.2), and so is what no hash would tell from another file. Blocks, and reads all of it.
    pub(crate) fn open(path: &Path, expected: Expected, size: Size, lock: Arc<StoreLock>) -> io::Result<Self> {
        let file = match durable::writer(path) {
            Ok(file) if file.metadata()?.is_file() => file,
            // A link or a device: not ours, whoever put it there.
            Ok(_) => return Err(io::ErrorKind::InvalidInput.into()),
            Err(_) if path.is_symlink() => {
                durable::remove_file(path)?;
                durable::writer(path)?
            }
            Err(error) => return Err(error),
        };
        let hasher = expected.hasher();
        let mut part = Self { file, path: path.to_owned(), expected, hasher, len: 0, _lock: lock };
        let found = part.file.metadata()?.len();
        if expected == Expected::Unsaid || size.at_most().is_none_or(|most| found > most) {
            part.restart()?;
            return Ok(part);
        }
        match blob::feed_to(&mut |piece| part.hasher.update(piece), &part.file, found) {
            Ok(()) => {
                part.len = found;
                part.file.seek(SeekFrom::Start(found))?;
            }
            // What the disk cannot read any more is fetched again, to other sectors.
            Err(error) if blob::is_damage(&error) => part.restart()?,
            Err(error) => return Err(error),
        }
        Ok(part)
    }

    /// Bytes that are there.
    pub(crate) fn len(&self) -> u64 {
        self.len
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Forgets all of it.
    pub(crate) fn restart(&mut self) -> io::Result<()> {
        self.file.set_len(0)?;
        self.file.seek(SeekFrom::Start(0))?;
        self.hasher = self.expected.hasher();
        self.len = 0;
        Ok(())
    }

    /// Adds the next bytes.
    pub(crate) fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all(bytes)?;
        self.hasher.update(bytes);
        self.len += bytes.len() as u64;
        Ok(())
    }

    /// What became of a sync, whose error the kernel tells once: a part that the disk refuses goes.
    pub(crate) fn synced(&self, outcome: io::Result<()>) -> io::Result<()> {
        if outcome.is_err() && durable::remove_file(&self.path).is_err() {
            // As good: nothing of it is left.
            self.file.set_len(0)?;
        }
        outcome
    }

    /// Moves the file to its final place when it is the right one; it is durable there on return. Else it is removed and the
    /// answer is false.
    pub(crate) fn finish(mut self, to: &Path) -> io::Result<bool> {
        let hasher = std::mem::replace(&mut self.hasher, self.expected.hasher());
        if !self.expected.is(hasher) {
            durable::remove_file(&self.path)?;
            return Ok(false);
        }
        self.synced(self.file.sync_all())?;
        durable::rename(&self.path, to)?;
        // Last: a part that nobody may write could not be taken up again after a crash.
        durable::seal(&self.file)?;
        Ok(true)
    }
}

#[cfg(test)]
mod tests;
