//! The one checkpoint of a directory, whole or in shards (rule 6.27). Owns no state; blocks.
//!
//! Mirrors cut a large file and put an index beside the shards. Such a snapshot is no repository of a library, so it has neither
//! `model_index.json` nor `config.json`.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

use serde::Deserialize;

use crate::{
    durable,
    format_gate::FormatError,
    merge::Merge,
    safetensors::{HEADER_BYTES_MAX, check_safetensors},
};

/// What an index is called.
const INDEX: &str = ".safetensors.index.json";

/// Largest index: as large as a header.
const INDEX_BYTES_MAX: u64 = HEADER_BYTES_MAX;

/// A directory with one of these has a loader of its own.
const LAYOUTS: [&str; 2] = ["model_index.json", "config.json"];

/// The checkpoint of a directory.
#[derive(Debug)]
pub(crate) enum Checkpoint {
    /// This file.
    File(PathBuf),
    /// These shards, which are not merged yet.
    Shards(Merge),
}

#[derive(Deserialize)]
struct Index {
    weight_map: BTreeMap<String, String>,
}

/// The one checkpoint of `dir`; none when it has several, or is a repository of a library.
pub(crate) fn checkpoint(dir: &Path) -> io::Result<Result<Option<Checkpoint>, FormatError>> {
    let (mut files, mut indexes) = (BTreeSet::new(), BTreeSet::new());
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let Ok(name) = entry.file_name().into_string() else { continue };
        if LAYOUTS.contains(&name.as_str()) {
            return Ok(Ok(None));
        }
        if !entry.file_type()?.is_file() {
            continue;
        }
        if name.ends_with(INDEX) {
            indexes.insert(name);
        } else if name.ends_with(".safetensors") {
            files.insert(name);
        }
    }
    if files.len() == 1 {
        return Ok(Ok(files.pop_first().map(|name| Checkpoint::File(dir.join(name)))));
    }
    match (indexes.pop_first(), indexes.len()) {
        (Some(index), 0) if !files.is_empty() => merged(dir, &index).map(|found| found.map(Some)),
        _ => Ok(Ok(None)),
    }
}

/// The file that the shards of `index` are together: there and whole, or to be made.
fn merged(dir: &Path, index: &str) -> io::Result<Result<Checkpoint, FormatError>> {
    let to = dir.join(index.trim_end_matches(".index.json"));
    match check_safetensors(&to) {
        Ok(Ok(())) => return Ok(Ok(Checkpoint::File(to))),
        // A file that was cut by a crash is made again. One with several names is a blob, and came so.
        Ok(Err(_)) if fs::symlink_metadata(&to)?.nlink() == 1 => durable::remove_file(&to)?,
        Ok(Err(_)) => return Ok(Err(FormatError::Index { file: index.to_owned() })),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    let bytes = durable::read_bounded(&dir.join(index), INDEX_BYTES_MAX)?.unwrap_or_default();
    let Ok(Index { weight_map }) = serde_json::from_slice(&bytes) else {
        return Ok(Err(FormatError::Index { file: index.to_owned() }));
    };
    Merge::of(dir, index, to, &weight_map).map(|made| made.map(Checkpoint::Shards))
}

#[cfg(test)]
mod tests;
