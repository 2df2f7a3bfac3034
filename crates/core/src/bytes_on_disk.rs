//! The files of a model, and how large they are. Owns nothing; blocks.

use std::path::{Path, PathBuf};

/// Files of one model that are looked at; a model of more files is estimated by these.
const FILES_MAX: usize = 100_000;

/// The files below `dir`, or `dir` itself where a model is one file, each with its size, sorted by path.
pub(crate) fn files(dir: &Path) -> Vec<(PathBuf, u64)> {
    let (mut found, mut open) = (Vec::new(), vec![dir.to_owned()]);
    while let Some(path) = open.pop() {
        let Ok(metadata) = path.metadata() else { continue };
        if metadata.is_dir() {
            let entries = path.read_dir().into_iter().flatten().flatten().map(|entry| entry.path());
            // Links are not followed into other directories: they could lead round in circles.
            open.extend(entries.filter(|entry| !entry.is_dir() || !entry.is_symlink()));
        } else {
            found.push((path, metadata.len()));
        }
        if found.len() >= FILES_MAX {
            break;
        }
    }
    found.sort();
    found
}

/// Bytes of the files below `dir`.
pub(crate) fn size(dir: &Path) -> u64 {
    files(dir).iter().fold(0, |sum, (_, bytes)| sum.saturating_add(*bytes))
}
