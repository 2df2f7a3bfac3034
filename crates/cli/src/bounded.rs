//! Reading input that somebody else chose, up to a limit.

use std::{
    fs::File,
    io::{self, Read},
    path::Path,
};

/// Reads a file of at most `max` bytes. Works for pipes and devices too, whose size nobody knows before.
///
/// # Errors
/// When it cannot be read, or is longer.
pub(crate) fn read_file(path: &Path, max: u64) -> io::Result<Vec<u8>> {
    read(File::open(path)?, max)
}

/// Reads `source` to its end, at most `max` bytes.
///
/// # Errors
/// When it cannot be read, or is longer.
pub(crate) fn read(source: impl Read, max: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    source.take(max.saturating_add(1)).read_to_end(&mut bytes)?;
    if u64::try_from(bytes.len()).is_ok_and(|size| size <= max) {
        Ok(bytes)
    } else {
        Err(io::Error::other(format!("longer than {max} bytes")))
    }
}
