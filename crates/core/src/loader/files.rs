//! How large the models of an instance are on disk. Owns nothing.

use std::path::{Path, PathBuf};

/// Files of one model that are counted; a model of more files is estimated by these.
const FILES_MAX: usize = 100_000;

/// Bytes of the files below `dir`.
pub(super) fn size(dir: &Path) -> u64 {
    let (mut total, mut files) = (0_u64, 0);
    let mut open: Vec<PathBuf> = vec![dir.to_owned()];
    while let Some(path) = open.pop() {
        let Ok(metadata) = path.metadata() else { continue };
        if metadata.is_dir() {
            let entries = std::fs::read_dir(&path).into_iter().flatten().flatten();
            // Links are not followed into other directories: they could lead round in circles.
            open.extend(
                entries.filter(|entry| !entry.path().is_dir() || !entry.path().is_symlink()).map(|entry| entry.path()),
            );
        } else {
            total = total.saturating_add(metadata.len());
            files += 1;
        }
        if files >= FILES_MAX {
            break;
        }
    }
    total
}
