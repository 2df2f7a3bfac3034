//! Which snapshot a ref was the last time somebody asked the hub (rule 3.8): `refs/<owner>/<repo>/<tag>[#flavor]`, one file with the
//! snapshot's name, as peers write it. The files are the state. Blocks.

use std::{fs, io, path::PathBuf};

use gen_worker_hub::{HubRef, names::SnapshotId};

use crate::{durable, layout::Layout, lock::StoreLock};

/// Largest file: a name and what an editor may have put around it.
const NAME_BYTES_MAX: u64 = 1024;

/// Notes that `reference` is `snapshot` now; durable on return. What a digest pins needs no note.
pub(crate) fn remember(layout: &Layout, reference: &HubRef, snapshot: &SnapshotId) -> io::Result<()> {
    if reference.digest().is_some() {
        return Ok(());
    }
    let path = note(layout, reference);
    let _alone = StoreLock::take_briefly(&layout.index_lock())?;
    if noted(layout, reference)?.as_ref() == Some(snapshot) {
        return Ok(());
    }
    if let Some(dir) = path.parent() {
        durable::make_dirs(layout.root(), dir)?;
    }
    durable::replace(&path, snapshot.as_str().as_bytes(), true)
}

/// The snapshot that `reference` was, if it is on disk. The start of a digest is enough when only one snapshot has it.
pub(crate) fn recall(layout: &Layout, reference: &HubRef) -> io::Result<Option<SnapshotId>> {
    let found = match reference.digest() {
        Some(digest) => named(layout, digest.hex())?,
        None => noted(layout, reference)?,
    };
    let is_there = |id: &SnapshotId| fs::symlink_metadata(layout.snapshot(id)).is_ok_and(|found| found.is_dir());
    Ok(found.filter(is_there))
}

fn noted(layout: &Layout, reference: &HubRef) -> io::Result<Option<SnapshotId>> {
    match durable::read_bounded(&note(layout, reference), NAME_BYTES_MAX) {
        Ok(bytes) => Ok(bytes.and_then(|bytes| SnapshotId::from_digest(&String::from_utf8(bytes).ok()?).ok())),
        // What cannot be understood is as good as nothing.
        Err(error) if matches!(error.kind(), io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput) => Ok(None),
        Err(error) => Err(error),
    }
}

/// The only snapshot whose name starts with `hex`.
fn named(layout: &Layout, hex: &str) -> io::Result<Option<SnapshotId>> {
    let mut found = None;
    for entry in fs::read_dir(layout.snapshots())? {
        let Some(id) = layout.snapshot_at(&entry?.path()) else { continue };
        if !id.as_str().to_ascii_lowercase().starts_with(hex) {
            continue;
        }
        if found.replace(id).is_some() {
            return Ok(None);
        }
    }
    Ok(found)
}

fn note(layout: &Layout, reference: &HubRef) -> PathBuf {
    let flavor = reference.flavor().map(|flavor| format!("#{flavor}")).unwrap_or_default();
    let name = format!("{}{flavor}", reference.tag());
    [reference.owner(), reference.repo(), &name]
        .into_iter()
        .fold(layout.refs(), |path, name| path.join(file_name(name)))
}

/// `name` as the name of a file in the same directory, whatever it is.
fn file_name(name: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "._#-".contains(c);
    let plain: String = name.chars().map(|c| if is_plain(c) { c } else { '_' }).collect();
    if plain.bytes().all(|byte| byte == b'.') { plain.replace('.', "_") } else { plain }
}

#[cfg(test)]
mod tests;
