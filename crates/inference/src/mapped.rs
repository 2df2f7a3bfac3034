//! A read-only memory map of a file: the crate's only unsafe code besides `kernel`.

#![expect(unsafe_code, reason = "mapping a file is unsafe because others can change it; see the SAFETY note")]

use std::fs::File;
use std::io;
use std::path::Path;

use memmap2::Mmap;

/// A mapped file. Keeps the bytes readable as long as it lives, also when the path is unlinked or replaced.
#[derive(Debug)]
pub(crate) struct MappedFile(Mmap);

impl MappedFile {
    /// Maps a regular file for reading.
    ///
    /// # Errors
    ///
    /// When it cannot be opened, is not a regular file, or cannot be mapped.
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        let file = File::open(path)?;
        if !file.metadata()?.is_file() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file"));
        }
        // SAFETY: the map is private and read-only, and we hand out only bytes and floats, for which every bit
        // pattern is a value: another process that writes the file can change numbers but not break a type.
        // Truncation by another process raises SIGBUS, which is documented at the module that opens checkpoints.
        let map = unsafe { Mmap::map(&file)? };
        Ok(Self(map))
    }

    /// The content.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.0
    }
}
