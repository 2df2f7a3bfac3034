//! Files that survive a crash, and files that are what they seem. Owns no state. Everything here blocks.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read as _, Write as _},
    os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
};

use rustix::fs::OFlags;

/// Verified bytes are not written again: a mistake of a program fails instead of changing a model for everybody.
const READ_ONLY: u32 = 0o444;

/// What a file is called while it is written, beside its place. No name of a model has this sign.
pub(crate) const TEMPORARY: &str = "~";

/// A name that no other call gives, of any process: process ids repeat where processes have worlds of their own.
pub(crate) fn unique() -> String {
    use std::hash::{BuildHasher as _, Hasher as _};
    // Every `RandomState` carries fresh keys, so an empty hash is a random number.
    format!("{}.{:016x}", std::process::id(), std::hash::RandomState::new().build_hasher().finish())
}

/// Makes the names in `dir` durable.
pub(crate) fn sync_dir(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}

/// Moves `from` to `to`, in one file system, and makes that durable.
pub(crate) fn rename(from: &Path, to: &Path) -> io::Result<()> {
    fs::rename(from, to)?;
    to.parent().map_or(Ok(()), sync_dir)
}

/// Writes `bytes` to `path`: a reader sees the old or the new content, never a mix, also after a loss of power. With `sync`
/// the new content is durable on return. Who calls holds the lock of `path`: writers take turns at one temporary name, and what
/// a killed one left is gone with the next.
pub(crate) fn replace(path: &Path, bytes: &[u8], sync: bool) -> io::Result<()> {
    let mut name = path.as_os_str().to_owned();
    name.push(TEMPORARY);
    let temporary = PathBuf::from(name);
    remove_file(&temporary)?;
    let mut file = writer(&temporary)?;
    let written = file.write_all(bytes).and_then(|()| {
        // Always: a rename may reach the disk before the bytes of what it names.
        file.sync_all()?;
        if sync { rename(&temporary, path) } else { fs::rename(&temporary, path) }
    });
    if written.is_err() {
        remove_file(&temporary)?;
    }
    written
}

/// Opens `path` for writing and reading, new or as it is. A symbolic link is refused.
pub(crate) fn writer(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).write(true).create(true).truncate(false).custom_flags(no_follow()).open(path)
}

/// Opens the regular file `path` for reading; none when nothing is there. A symbolic link, or anything else that is no
/// file, is an error of kind [`io::ErrorKind::InvalidInput`].
pub(crate) fn reader(path: &Path) -> io::Result<Option<File>> {
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
        // Looked at before it is opened: opening a pipe would wait for its writer.
        Ok(metadata) if !metadata.is_file() => return Err(no_file()),
        Ok(_) => {}
    }
    let file = OpenOptions::new().read(true).custom_flags(no_follow()).open(path)?;
    if file.metadata()?.is_file() { Ok(Some(file)) } else { Err(no_file()) }
}

/// Reads at most `limit` bytes of `path`; none when nothing is there. A larger file is an error.
pub(crate) fn read_bounded(path: &Path, limit: u64) -> io::Result<Option<Vec<u8>>> {
    let Some(file) = reader(path)? else { return Ok(None) };
    let mut bytes = Vec::new();
    file.take(limit + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > limit {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "file is too large"));
    }
    Ok(Some(bytes))
}

/// Makes `dir` and what is missing above it, down from `root`. Nothing between them may be a symbolic link: what is put
/// there would be somewhere else.
pub(crate) fn make_dirs(root: &Path, dir: &Path) -> io::Result<()> {
    let below = dir.strip_prefix(root).map_err(|_| io::Error::from(io::ErrorKind::InvalidInput))?;
    let mut at = root.to_owned();
    for name in below.components() {
        let above = at.clone();
        at.push(name);
        match fs::create_dir(&at) {
            Ok(()) => sync_dir(&above)?,
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                if !fs::symlink_metadata(&at)?.is_dir() {
                    return Err(no_file());
                }
            }
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Forbids writing to verified bytes.
pub(crate) fn seal(file: &File) -> io::Result<()> {
    file.set_permissions(fs::Permissions::from_mode(READ_ONLY))
}

/// Puts the content of `from` at `to`, which does not exist: as a second name, as a clone that shares its blocks, or as a
/// copy. Never as a symbolic link: how many names a blob has says whether it is in use (rule 6.19).
pub(crate) fn link(from: &Path, to: &Path) -> io::Result<()> {
    match fs::hard_link(from, to) {
        Ok(()) => return Ok(()),
        Err(error) if error.kind() == io::ErrorKind::StorageFull => return Err(error),
        // Another file system, one without links, or too many names already.
        Err(_) => {}
    }
    let mut source = File::open(from)?;
    let mut target = OpenOptions::new().write(true).create_new(true).custom_flags(no_follow()).open(to)?;
    if !cloned(&source, &target) {
        io::copy(&mut source, &mut target)?;
    }
    seal(&target)?;
    target.sync_all()
}

/// Writes the contents of `pieces`, one after the other, to `to`, which does not exist.
pub(crate) fn join(pieces: &[PathBuf], to: &Path) -> io::Result<()> {
    let mut target = OpenOptions::new().write(true).create_new(true).custom_flags(no_follow()).open(to)?;
    for piece in pieces {
        let source = reader(piece)?.ok_or(io::ErrorKind::NotFound)?;
        io::copy(&mut { source }, &mut target)?;
    }
    seal(&target)?;
    target.sync_all()
}

#[cfg(target_os = "linux")]
fn cloned(source: &File, target: &File) -> bool {
    rustix::fs::ioctl_ficlone(target, source).is_ok()
}

#[cfg(not(target_os = "linux"))]
fn cloned(_source: &File, _target: &File) -> bool {
    false
}

/// Removes a file or a link, if there is one.
pub(crate) fn remove_file(path: &Path) -> io::Result<()> {
    gone(fs::remove_file(path))
}

/// Removes a file or link, or a directory and all below, if there is one. Links are removed, not followed.
pub(crate) fn remove(path: &Path) -> io::Result<()> {
    match fs::symlink_metadata(path) {
        Ok(metadata) if metadata.is_dir() => gone(fs::remove_dir_all(path)),
        Ok(_) => remove_file(path),
        Err(error) => gone(Err(error)),
    }
}

/// Bytes of the file or of all files below `path`; a file with several names counts once. What leaves meanwhile is not counted.
pub(crate) fn bytes_below(path: &Path) -> io::Result<u64> {
    let mut seen = std::collections::HashSet::new();
    let mut bytes = 0;
    let mut open = vec![path.to_owned()];
    while let Some(path) = open.pop() {
        let Some(metadata) = there(fs::symlink_metadata(&path))? else { continue };
        if metadata.is_dir() {
            for entry in there(fs::read_dir(&path))?.into_iter().flatten() {
                open.extend(there(entry)?.map(|entry| entry.path()));
            }
        } else if seen.insert((metadata.dev(), metadata.ino())) {
            bytes += metadata.len();
        }
    }
    Ok(bytes)
}

/// Whether two directories are on one disk; not where that cannot be told.
pub(crate) fn same_device(one: &Path, other: &Path) -> bool {
    let device = |path: &Path| fs::metadata(path).map(|metadata| metadata.dev()).ok();
    device(one).is_some_and(|own| device(other) == Some(own))
}

fn gone(result: io::Result<()>) -> io::Result<()> {
    there(result).map(|_| ())
}

/// None for what is not there, or not any more.
pub(crate) fn there<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        result => result.map(Some),
    }
}

fn no_file() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, "a link or a device is where a file or directory should be")
}

fn no_follow() -> i32 {
    // The bits of the platform's open flags, which std takes as a signed number.
    (OFlags::NOFOLLOW | OFlags::CLOEXEC).bits().cast_signed()
}

#[cfg(test)]
mod tests;
