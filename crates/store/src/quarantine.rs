//! Taking what is damaged away, and noting its refs again when it is back (rule 6.25). Owns no state; blocks.

use std::{io, path::Path};

use gen_worker_hub::names::SnapshotId;

use crate::{
    durable,
    leaving::Leaving,
    ref_index::{Models, take_gone},
    room::Room,
};

/// Takes the tree `id` away, and says so to who listens. Gives its refs. Who calls holds the lock of the tree. What is wrong of its
/// blobs goes when it is built again: each is hashed.
pub(crate) fn quarantine(room: &Room, id: &SnapshotId) -> io::Result<Models> {
    let unit = room.layout.snapshot(id);
    room.forget(id);
    let leaving = Leaving::begin(&room.layout, &unit)?;
    let refs = take_refs(room, |path| room.layout.eviction_unit(path).as_ref() == Some(&unit))?;
    leaving.end()?;
    Ok(refs)
}

/// Takes the damaged file `at` of the model in `dir` away, and says to who listens that the model is not there. Gives its refs.
pub(crate) fn quarantine_file(room: &Room, dir: &Path, at: &Path) -> io::Result<Models> {
    durable::remove_file(at)?;
    take_refs(room, |path| path == dir)
}

/// Forgets the refs whose models are damaged or gone, by their paths, and says so. Their pins stay.
pub(crate) fn take_refs(room: &Room, is_damaged: impl Fn(&Path) -> bool) -> io::Result<Models> {
    let refs = room.index.change(true, |models| take_gone(models, is_damaged))?;
    refs.keys().for_each(|reference| room.observer.evicted(reference));
    Ok(refs)
}

/// Notes `refs` again, pins and all: their tree is back.
pub(crate) fn restore(room: &Room, refs: Models) -> io::Result<()> {
    let back = room.index.change(true, |models| {
        let mut back = Vec::new();
        for (reference, model) in refs {
            // Unless it has gone on to another tree meanwhile.
            let moved = models.get(&reference).is_some_and(|other| !other.missing);
            if !moved {
                models.insert(reference.clone(), model);
                back.push(reference);
            }
        }
        back
    })?;
    back.iter().for_each(|reference| room.observer.on_disk(reference));
    Ok(())
}
