//! Marks of completeness: a file written last, that says what exactly was installed and where.

use std::path::Path;

use anyhow::{Context, Result};

const NAME: &str = ".complete";

/// Why `dir` does not hold exactly `content`, or `None` when it does.
pub(super) fn missing(dir: &Path, content: &str) -> Option<String> {
    match std::fs::read_to_string(dir.join(NAME)) {
        Ok(found) if found == expected(dir, content) => None,
        Ok(_) => Some("made from another version or in another place".to_owned()),
        Err(_) if dir.exists() => Some("an installation was interrupted".to_owned()),
        Err(_) => Some("not on this machine".to_owned()),
    }
}

/// Says that `dir` now holds `content`.
pub(super) fn write(dir: &Path, content: &str) -> Result<()> {
    let file = dir.join(NAME);
    std::fs::write(&file, expected(dir, content)).with_context(|| format!("write {}", file.display()))
}

/// Removes `dir` and all below it. Fine when it is not there.
pub(super) fn clear(dir: &Path) -> Result<()> {
    match std::fs::remove_dir_all(dir) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("remove {}", dir.display()))
        }
        _ => Ok(()),
    }
}

/// Python environments hold absolute paths, so a moved workspace makes them anew.
fn expected(dir: &Path, content: &str) -> String {
    format!("{}\n{content}", dir.display())
}
