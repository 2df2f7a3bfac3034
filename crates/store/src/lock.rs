//! Locks between processes: kernel locks on files of `locks/`, gone when their holder is (rules 6.20, 6.21).
//!
//! The order in which one task takes them: `gc`, then `snap-…`, then `blob-…`, then `use-…`, then `index`. Files of locks are removed by
//! who holds `gc` alone: everybody else holds it shared while opening another.

use std::{
    fs::{File, TryLockError},
    io,
    path::Path,
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
    _file: File,
}

impl StoreLock {
    /// Takes the lock `path` if it is free now.
    pub(crate) fn try_take(path: &Path, hold: Hold) -> io::Result<Option<Self>> {
        Self::look(durable::writer(path)?, hold).map(Result::ok)
    }

    /// Waits for the lock in the kernel. For locks that are held for a moment only. Blocks.
    pub(crate) fn take_briefly(path: &Path) -> io::Result<Self> {
        let file = durable::writer(path)?;
        file.lock()?;
        Ok(Self { _file: file })
    }

    /// Waits for the lock. A wait in the kernel could not be given up, so it is looked at again and again.
    ///
    /// # Cancel safety
    /// May be dropped: then it is not taken.
    pub(crate) async fn take(path: &Path, hold: Hold) -> io::Result<Self> {
        let mut file = durable::writer(path)?;
        let mut wait = LOOK_FIRST;
        loop {
            match Self::look(file, hold)? {
                Ok(lock) => return Ok(lock),
                Err(again) => file = again,
            }
            tokio::time::sleep(wait).await;
            wait = (wait * 2).min(LOOK_LONGEST);
        }
    }

    fn look(file: File, hold: Hold) -> io::Result<Result<Self, File>> {
        let taken = match hold {
            Hold::Shared => file.try_lock_shared(),
            Hold::Alone => file.try_lock(),
        };
        match taken {
            Ok(()) => Ok(Ok(Self { _file: file })),
            Err(TryLockError::WouldBlock) => Ok(Err(file)),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }
}

#[cfg(test)]
mod tests;
