//! Ownership of the store: a lock on a file beside it, held by one process at a time and let go by the system when
//! that process ends, however it ends. SQLite's own locks cannot serve, because our readers share the file with the
//! writer.

use std::{
    fs::{File, OpenOptions, TryLockError},
    io::{Read as _, Seek as _, Write as _},
    path::{Path, PathBuf},
};

use super::open::OpenCause;

/// Longest text read from a lock file: a process id has at most ten digits.
const HOLDER_BYTES_MAX: u64 = 16;

/// The ownership; dropping it ends it. The file stays: removing it would race with the next owner.
#[derive(Debug)]
pub(super) struct OwnerLock {
    _file: File,
}

impl OwnerLock {
    /// Takes the ownership of `database`, which need not exist.
    ///
    /// # Errors
    /// When another process holds it, or the lock file cannot be made.
    pub fn take(database: &Path) -> Result<Self, OpenCause> {
        let mut options = OpenOptions::new();
        let mut file = options.read(true).write(true).create(true).truncate(false).open(beside(database)?)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(OpenCause::InUse { holder: holder(&mut file) }),
            Err(TryLockError::Error(source)) => return Err(source.into()),
        }
        // The id helps a person to find the owner; the lock does not depend on it, not even on a full disk.
        let written =
            file.set_len(0).and_then(|()| file.rewind()).and_then(|()| write!(file, "{}", std::process::id()));
        drop(written);
        Ok(Self { _file: file })
    }
}

/// The lock file of `database`, the same one by whatever links it is reached.
fn beside(database: &Path) -> Result<PathBuf, OpenCause> {
    let real = match database.canonicalize() {
        Ok(real) => real,
        Err(absent) if absent.kind() == std::io::ErrorKind::NotFound => {
            let name = database.file_name().ok_or(OpenCause::Directory)?;
            let directory = database.parent().filter(|parent| !parent.as_os_str().is_empty());
            directory.unwrap_or(Path::new(".")).canonicalize()?.join(name)
        }
        Err(other) => return Err(other.into()),
    };
    let mut name = real.into_os_string();
    name.push(".lock");
    Ok(name.into())
}

fn holder(file: &mut File) -> Option<u32> {
    let mut text = String::new();
    file.take(HOLDER_BYTES_MAX).read_to_string(&mut text).ok()?;
    text.trim().parse().ok()
}
