//! An object of a directory while it comes: a file beside its place, which is renamed when its bytes are on the disk.

use std::{
    fs::{self, File},
    io::{self, IoSlice, Write as _},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use bytes::Bytes;
use gen_worker_tasks::Scope;
use object_store::PutPayload;

/// Folders that lead to an object, and are new with it: its own, and the one of all.
const FOLDERS: usize = 3;

/// How often its folder may go away before the file is in it: who deletes the last object of a folder deletes the folder.
const FOLDER_TRIES: usize = 8;

/// An object that is not complete. Dropped, its file goes, once nothing is written to it any more: that blocks.
#[derive(Debug)]
pub(super) struct Staged {
    open: Arc<Open>,
    place: PathBuf,
}

/// Its file. Work that blocks has it too, and may go on when nobody waits for it.
#[derive(Debug)]
struct Open {
    file: File,
    /// Where it is: beside its place, under a name that lists pass over.
    path: PathBuf,
    renamed: AtomicBool,
    given_up: AtomicBool,
}

impl Staged {
    /// Begins the object at `place`.
    pub async fn create(place: PathBuf, scope: &Scope) -> io::Result<Self> {
        let mut staged = place.clone().into_os_string();
        staged.push("#1");
        let path = PathBuf::from(staged);
        let create = move || {
            let open = Arc::new(Open {
                file: create(&path)?,
                path,
                renamed: AtomicBool::new(false),
                given_up: AtomicBool::new(false),
            });
            Ok(Self { open, place })
        };
        scope.spawn_blocking(create).await.map_err(io::Error::other)?
    }

    /// Adds the next bytes.
    pub async fn write(&self, piece: PutPayload, scope: &Scope) -> io::Result<()> {
        let open = Arc::clone(&self.open);
        scope.spawn_blocking(move || write_all(&open.file, piece)).await.map_err(io::Error::other)?
    }

    /// Nobody waits for it any more: what is under way makes no object of it.
    pub fn give_up(&self) {
        self.open.given_up.store(true, Ordering::Relaxed);
    }

    /// Makes it an object, which outlives a loss of power on return.
    pub async fn complete(&self, scope: &Scope) -> io::Result<()> {
        let (open, place) = (Arc::clone(&self.open), self.place.clone());
        let complete = move || {
            open.file.sync_all()?;
            if open.given_up.load(Ordering::Relaxed) {
                return Err(io::Error::other("the object was given up"));
            }
            fs::rename(&open.path, &place)?;
            open.renamed.store(true, Ordering::Relaxed);
            place.ancestors().skip(1).take(FOLDERS).try_for_each(|folder| File::open(folder)?.sync_all())
        };
        scope.spawn_blocking(complete).await.map_err(io::Error::other)?
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        if !self.renamed.load(Ordering::Relaxed)
            && let Err(error) = fs::remove_file(&self.path)
        {
            tracing::debug!(%error, "a part that failed was not removed at once");
        }
    }
}

fn create(path: &Path) -> io::Result<File> {
    let mut tries = FOLDER_TRIES;
    loop {
        match File::create_new(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound && tries > 0 => {
                tries -= 1;
                if let Some(folder) = path.parent() {
                    fs::create_dir_all(folder)?;
                }
            }
            created => return created,
        }
    }
}

/// All steps of a piece at once, as far as the kernel takes them.
fn write_all(mut file: &File, piece: PutPayload) -> io::Result<()> {
    let steps: Vec<Bytes> = piece.into_iter().collect();
    let mut slices: Vec<IoSlice<'_>> = steps.iter().map(|step| IoSlice::new(step)).collect();
    let mut rest = slices.as_mut_slice();
    IoSlice::advance_slices(&mut rest, 0);
    while !rest.is_empty() {
        match file.write_vectored(rest) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => IoSlice::advance_slices(&mut rest, written),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
