//! How much fits on the disk: the seam to the file system.

use std::{io, path::Path};

/// Says how many bytes fit.
pub trait DiskSpace: Send + Sync {
    /// Bytes that this user may still write to the file system of `path`. Blocks.
    ///
    /// # Errors
    /// When the system does not say: then nothing is held back for want of space.
    fn available_bytes(&self, path: &Path) -> io::Result<u64>;
}

/// What the file system itself says.
#[derive(Clone, Copy, Debug, Default)]
pub struct FileSystemSpace;

impl DiskSpace for FileSystemSpace {
    fn available_bytes(&self, path: &Path) -> io::Result<u64> {
        let found = rustix::fs::statvfs(path)?;
        Ok(found.f_bavail.saturating_mul(found.f_frsize))
    }
}
