//! Taking things out of the store: what leaves is out of its place as a whole before any of it is removed, so nobody finds half of
//! it. Owns the directory `leaving/`. Blocks.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use crate::{durable, layout::Layout};

/// Something that is out of its place and has to be removed. What is not, a later [`clear`] removes.
#[must_use]
pub(crate) struct Leaving(Option<PathBuf>);

impl Leaving {
    /// Takes what is at `path`, if anything, out of its place; that is durable on return.
    pub(crate) fn begin(layout: &Layout, path: &Path) -> io::Result<Self> {
        durable::make_dirs(layout.root(), &layout.leaving())?;
        let to = layout.leaving().join(durable::unique());
        match fs::rename(path, &to) {
            Ok(()) => path.parent().map_or(Ok(()), durable::sync_dir)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Self(None)),
            // On a disk of its own it leaves bit by bit.
            Err(error) if error.kind() == io::ErrorKind::CrossesDevices => {
                durable::remove(path)?;
                return Ok(Self(None));
            }
            Err(error) => return Err(error),
        }
        Ok(Self(Some(to)))
    }

    /// Removes it.
    pub(crate) fn end(self) -> io::Result<()> {
        self.0.map_or(Ok(()), |path| durable::remove(&path))
    }
}

/// Removes what has left and is still there: its remover was killed, or is at it, which is no harm.
pub(crate) fn clear(layout: &Layout) -> io::Result<()> {
    durable::make_dirs(layout.root(), &layout.leaving())?;
    for entry in fs::read_dir(layout.leaving())? {
        durable::remove(&entry?.path())?;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
