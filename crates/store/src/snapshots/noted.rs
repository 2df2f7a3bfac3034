//! Looks at trees that are there without asking anybody what they should be: their manifests say it, and without one their
//! structure has to be sound (rules 6.23, 6.24).

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
};

use gen_worker_hub::{RepoPath, names::SnapshotId, snapshot::SNAPSHOT_FILES_MAX};
use tracing::warn;

use super::Snapshots;
use crate::{
    fetch_error::FetchError,
    format_gate::{FormatError, check_linked_headers, check_names},
    integrity::Presence,
    lock::Hold,
    manifest,
    quarantine::quarantine,
    verify::verify,
};

/// What a look at a tree found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Look {
    /// Nothing is there.
    Absent,
    /// It is what it has to be.
    Whole {
        /// Its bytes were compared, now or before in this process; else only its structure.
        hashed: bool,
    },
    /// These files are not, and the tree was taken away.
    Damaged(Vec<RepoPath>),
}

impl Snapshots {
    /// Looks at the tree `id`: at names and sizes when this process has seen its bytes to be right before, unless `again`;
    /// else at its bytes. A damaged tree is taken away, and comes anew when somebody fetches it (rule 6.25).
    ///
    /// # Cancel safety
    /// May be dropped; what is being hashed is hashed to its end.
    pub(crate) async fn look(&self, id: &SnapshotId, again: bool) -> Result<Look, FetchError> {
        let dir = self.room.layout.snapshot(id);
        // Nobody builds it meanwhile, and of many who ask one hashes.
        let lock = self.room.lock(self.room.layout.snapshot_lock(id), Hold::Alone).await?;
        let (layout, name) = (self.room.layout.clone(), id.clone());
        let failed = FetchError::disk("look at a snapshot", &dir);
        let noted = self.room.disk.run(move || manifest::of(&layout, &name).map_err(failed)).await?;
        let seen = !again && self.room.verified.lock().contains(id);
        let hashed = noted.is_some();
        let wrong = match noted.map(Arc::new) {
            Some(tree) => match self.presence(&tree).await? {
                Presence::Absent => return Ok(Look::Absent),
                Presence::Whole if seen => Vec::new(),
                Presence::Whole | Presence::Damaged => verify(&self.room.disk, &dir, &tree).await?,
            },
            None => {
                let at = dir.clone();
                let failed = FetchError::disk("look at a snapshot", &dir);
                match self.room.disk.run(move || broken(&at).map_err(failed)).await? {
                    Some(broken) => broken,
                    None => return Ok(Look::Absent),
                }
            }
        };
        if wrong.is_empty() {
            self.room.verified.lock().insert(id.clone());
            return Ok(Look::Whole { hashed });
        }
        warn!(snapshot = %id, wrong = wrong.len(), "a snapshot on disk is damaged and leaves");
        let (room, name, failed) =
            (Arc::clone(&self.room), id.clone(), FetchError::disk("quarantine of a snapshot", &dir));
        let taken_away = move || {
            let _lock = lock;
            quarantine(&room, &name).map_err(failed)
        };
        self.room.disk.run(taken_away).await?;
        Ok(Look::Damaged(wrong))
    }
}

/// What a walk over a tree found.
#[derive(Default)]
struct Found {
    /// Its files, not more than a tree may have.
    files: Vec<RepoPath>,
    /// One thing, of any others, that is there and is none of them.
    unseen: Option<PathBuf>,
}

/// Whether what is in `dir` may be loaded whoever chose it (rules 11.1 to 11.3). What cannot be looked at may not: who loads it
/// looks at names in a way of his own.
pub(crate) fn check_safe(dir: &Path) -> io::Result<Result<(), FormatError>> {
    let Found { files, unseen } = found(dir)?;
    if let Some(path) = unseen {
        return Ok(Err(FormatError::Unseen { path }));
    }
    let mut sized = Vec::new();
    for file in &files {
        sized.push((file, fs::metadata(dir.join(file.as_str()))?.len()));
    }
    match check_names(sized) {
        Ok(()) => check_linked_headers(dir, &files),
        refused => Ok(refused),
    }
}

/// The first broken safetensors file of `dir`. None when there is no such directory.
fn broken(dir: &Path) -> io::Result<Option<Vec<RepoPath>>> {
    match fs::symlink_metadata(dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
        Ok(metadata) if !metadata.is_dir() => return Err(io::ErrorKind::NotADirectory.into()),
        Ok(_) => {}
    }
    let Found { files, .. } = found(dir)?;
    Ok(Some(match check_linked_headers(dir, &files)? {
        Err(FormatError::Broken { file, .. } | FormatError::Unsafe { file }) => vec![file],
        // Indexes are looked at when a checkpoint is merged, and what is beside the files when somebody asks whether it is safe.
        Ok(()) | Err(FormatError::Index { .. } | FormatError::Unseen { .. }) => Vec::new(),
    }))
}

/// What is in `dir`. Ends with the first file that is one too many.
fn found(dir: &Path) -> io::Result<Found> {
    let mut found = Found::default();
    let mut open: Vec<PathBuf> = vec![dir.to_owned()];
    while let Some(at) = open.pop() {
        for entry in fs::read_dir(at)? {
            let entry = entry?;
            let path = entry.path();
            if entry.file_type()?.is_dir() {
                open.push(path);
                continue;
            }
            // Peers link where they cannot give a file a second name.
            let is_file = match fs::metadata(&path) {
                Ok(metadata) => metadata.is_file(),
                // A link to nothing: nobody finds anything there.
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(_) => false,
            };
            let below = path.strip_prefix(dir).unwrap_or(&path);
            let name: Option<RepoPath> = below.to_str().and_then(|name| name.parse().ok());
            let fits = found.files.len() < SNAPSHOT_FILES_MAX;
            match name {
                Some(name) if is_file && fits => found.files.push(name),
                _ => found.unseen = Some(below.to_owned()),
            }
            if !fits {
                return Ok(found);
            }
        }
    }
    Ok(found)
}
