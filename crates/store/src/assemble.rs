//! Putting a tree together: it is there as a whole or not at all. Owns no state; blocks.

use std::{collections::BTreeSet, fs, io, path::Path};

use gen_worker_hub::digest::DigestHasher;
use tracing::warn;

use crate::{
    blob, durable,
    fetch_error::FetchError,
    layout::Layout,
    lock::{Hold, StoreLock},
    tree::{DESCRIPTION_BYTES_MAX, Piece, Tree, TreeError, TreeFile, check_description},
};

/// Puts the tree together from its blobs, which are all there, and moves it to its place; durable on return (rule 6.15). Who calls
/// holds the lock of the tree. On an error nothing is left of it.
pub(crate) fn assemble(layout: &Layout, tree: &Tree) -> Result<(), FetchError> {
    let building = layout.building(tree.id(), &durable::unique());
    assemble_in(layout, tree, &building).inspect_err(|_| {
        if let Err(error) = durable::remove(&building) {
            warn!(snapshot = %tree.id(), %error, "what was built of a snapshot cannot be removed yet");
        }
    })
}

fn assemble_in(layout: &Layout, tree: &Tree, building: &Path) -> Result<(), FetchError> {
    let place = layout.snapshot(tree.id());
    let failed = || FetchError::disk("build of a snapshot", &place);
    fs::create_dir(building).map_err(failed())?;
    let mut dirs = BTreeSet::from([building.to_owned()]);
    for file in tree.files() {
        let to = building.join(file.path.as_str());
        if let Some(dir) = to.parent() {
            if !dirs.contains(dir) {
                fs::create_dir_all(dir).map_err(failed())?;
            }
            let between = dir.ancestors().take_while(|above| *above != building);
            dirs.extend(between.map(Path::to_owned));
        }
        match (file.pieces.as_slice(), file.description) {
            ([piece], None) => durable::link(&layout.blob(piece.blake3), &to).map_err(failed())?,
            (_, Some(description)) => join(layout, file, description, &to)?,
            (_, None) => return Err(FetchError::Tree(TreeError::Pieces(file.path.clone()))),
        }
    }
    dirs.iter().try_for_each(|dir| durable::sync_dir(dir)).map_err(failed())?;
    durable::rename(building, &place).map_err(failed())
}

/// Writes a file that came in pieces. Its description is no part of the tree, but has to say the same as the list.
fn join(layout: &Layout, file: &TreeFile, description: Piece, to: &Path) -> Result<(), FetchError> {
    let failed = || FetchError::disk("join of a file", to);
    let wrong = || FetchError::Tree(TreeError::Pieces(file.path.clone()));
    let said = durable::read_bounded(&layout.blob(description.blake3), DESCRIPTION_BYTES_MAX).map_err(failed())?;
    let digest = check_description(file, &said.unwrap_or_default()).map_err(FetchError::Tree)?;
    let blobs: Vec<_> = file.pieces.iter().map(|piece| layout.blob(piece.blake3)).collect();
    durable::join(&blobs, to).map_err(failed())?;
    let Some(digest) = digest else { return Ok(()) };
    let found = durable::reader(to).and_then(|whole| {
        let mut hasher = DigestHasher::new(digest.algorithm());
        whole.map(|whole| blob::feed(&mut hasher, &whole, u64::MAX)).transpose()?;
        Ok(hasher.digest())
    });
    if found.map_err(failed())? == digest { Ok(()) } else { Err(wrong()) }
}

/// Removes what processes left unfinished that are no more (rule 6.20): nobody holds the lock of such a tree.
pub(crate) fn clear_unfinished(layout: &Layout) -> io::Result<()> {
    for entry in fs::read_dir(layout.snapshots())? {
        let entry = entry?;
        let Some(id) = entry.file_name().to_str().and_then(Layout::unfinished) else { continue };
        if let Some(_lock) = StoreLock::try_take(&layout.snapshot_lock(&id), Hold::Alone)? {
            durable::remove(&entry.path())?;
        }
    }
    Ok(())
}
