//! Files that tell other programs that something is up, and where.

use std::{fs, io, path::Path, process};

use serde::Serialize;

/// Writes `content` as JSON in one step: a reader sees nothing or all of it.
///
/// # Errors
/// When the directory cannot be written.
pub(crate) fn write(path: &Path, content: &impl Serialize) -> io::Result<()> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}", process::id()));
    let temporary = path.with_file_name(name);
    let text = serde_json::to_string(content).map_err(io::Error::other)?;
    fs::write(&temporary, text + "\n")?;
    fs::rename(&temporary, path)
}

/// Removes the file of an earlier process, or of this one at its end.
pub(crate) fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
