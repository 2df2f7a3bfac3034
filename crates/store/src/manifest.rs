//! What a tree on disk has to be: `manifests/<id>.json`, so that it can be checked without asking anybody. Owns no state; blocks.
//!
//! No address is in it. A manifest is written before its tree is noted, and removed after it has gone; without one, a tree
//! is checked for its structure only.

use std::{fs, io};

use gen_worker_hub::{Blake3Hash, RepoPath, names::SnapshotId};
use serde::{Deserialize, Serialize};

use crate::{
    durable,
    layout::Layout,
    lock::StoreLock,
    tree::{Piece, Tree, TreeFile},
};

/// Largest manifest: a hundred thousand files with long paths.
const MANIFEST_BYTES_MAX: u64 = 64 * 1024 * 1024;

#[derive(Serialize, Deserialize)]
struct Manifest {
    files: Vec<Entry>,
}

#[derive(Serialize, Deserialize)]
struct Entry {
    path: RepoPath,
    pieces: Vec<Content>,
}

#[derive(Serialize, Deserialize)]
struct Content {
    blake3: Blake3Hash,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    size_bytes: Option<u64>,
}

/// Notes what `tree` is, unless just that was noted before.
pub(crate) fn note(layout: &Layout, tree: &Tree) -> io::Result<()> {
    let content = |piece: &Piece| Content { blake3: piece.blake3, size_bytes: piece.size_bytes };
    let entry = |file: &TreeFile| Entry { path: file.path.clone(), pieces: file.pieces.iter().map(content).collect() };
    let bytes = serde_json::to_vec(&Manifest { files: tree.files().iter().map(entry).collect() })?;
    let place = layout.manifest(tree.id());
    // What cannot be read is written anew.
    let noted = || matches!(durable::read_bounded(&place, MANIFEST_BYTES_MAX), Ok(Some(noted)) if noted == bytes);
    if noted() {
        return Ok(());
    }
    // Many who fetch the same tree note it at the same time: they would write into one temporary file.
    let _alone = StoreLock::take_briefly(&layout.manifests_lock())?;
    if noted() {
        return Ok(());
    }
    durable::make_dirs(layout.root(), &layout.manifests())?;
    durable::replace(&place, &bytes, true)
}

/// What the tree called `id` has to be. None when nobody noted it, or what was noted cannot be read.
pub(crate) fn of(layout: &Layout, id: &SnapshotId) -> io::Result<Option<Tree>> {
    let bytes = match durable::read_bounded(&layout.manifest(id), MANIFEST_BYTES_MAX) {
        Err(error) if matches!(error.kind(), io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput) => None,
        read => read?,
    };
    let Some(manifest) = bytes.and_then(|bytes| serde_json::from_slice::<Manifest>(&bytes).ok()) else {
        return Ok(None);
    };
    let piece = |content: Content| Piece { blake3: content.blake3, size_bytes: content.size_bytes };
    let file = |entry: Entry| TreeFile {
        path: entry.path,
        pieces: entry.pieces.into_iter().map(piece).collect(),
        description: None,
    };
    Ok(Tree::noted(id.clone(), manifest.files.into_iter().map(file).collect()))
}

/// Removes the manifests of trees that are not there. Whoever calls lets no tree come meanwhile.
pub(crate) fn sweep(layout: &Layout) -> io::Result<()> {
    let entries = match fs::read_dir(layout.manifests()) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries?,
    };
    for entry in entries {
        let path = entry?.path();
        let id = path.file_stem().and_then(|name| name.to_str()).and_then(|name| name.parse::<SnapshotId>().ok());
        if id.is_none_or(|id| !layout.snapshot(&id).exists()) {
            durable::remove_file(&path)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
