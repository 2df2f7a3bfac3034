//! Putting a tree together, and taking it away: it is there as a whole or not at all. Owns no state; blocks.

use std::{collections::BTreeSet, fs, io, path::Path};

use gen_worker_hub::names::SnapshotId;

use crate::{
    durable,
    layout::Layout,
    lock::{Hold, StoreLock},
    tree::Tree,
};

/// Puts the tree together from its blobs, which are all there, and moves it to its place; durable on return (rule 6.15).
pub(crate) fn assemble(layout: &Layout, tree: &Tree) -> io::Result<()> {
    let building = layout.building(tree.id());
    durable::remove_dir(&building)?;
    fs::create_dir(&building)?;
    let mut dirs = BTreeSet::from([building.clone()]);
    for file in tree.files() {
        let to = building.join(file.path.as_str());
        if let Some(dir) = to.parent() {
            if !dirs.contains(dir) {
                fs::create_dir_all(dir)?;
            }
            let between = dir.ancestors().take_while(|above| *above != building);
            dirs.extend(between.map(Path::to_owned));
        }
        durable::link(&layout.blob(file.blake3), &to)?;
    }
    dirs.iter().try_for_each(|dir| durable::sync_dir(dir))?;
    durable::rename(&building, &layout.snapshot(tree.id()))
}

/// Takes a tree away: it is gone as a whole before its files go.
pub(crate) fn take_away(layout: &Layout, id: &SnapshotId) -> io::Result<()> {
    let leaving = layout.building(id);
    durable::remove_dir(&leaving)?;
    match durable::rename(&layout.snapshot(id), &leaving) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
        Ok(()) => durable::remove_dir(&leaving),
    }
}

/// Removes what processes left unfinished that are no more (rule 6.20): nobody holds the lock of such a tree.
pub(crate) fn clear_unfinished(layout: &Layout) -> io::Result<()> {
    for entry in fs::read_dir(layout.snapshots())? {
        let entry = entry?;
        let Some(id) = entry.file_name().to_str().and_then(Layout::unfinished) else { continue };
        if let Some(_lock) = StoreLock::try_take(&layout.locks().join(format!("snap-{id}")), Hold::Alone)? {
            durable::remove_dir(&entry.path())?;
        }
    }
    Ok(())
}
