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
    format_gate::{FormatError, check_headers, check_names},
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

/// Whether what is in `dir` may be loaded whoever chose it (rules 11.1 to 11.3).
pub(crate) fn check_safe(dir: &Path) -> io::Result<Result<(), FormatError>> {
    let files = files(dir)?;
    let mut sized = Vec::new();
    for file in &files {
        sized.push((file, fs::metadata(dir.join(file.as_str()))?.len()));
    }
    match check_names(sized) {
        Ok(()) => check_headers(dir, &files),
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
    let files = files(dir)?;
    Ok(Some(match check_headers(dir, &files)? {
        Err(FormatError::Broken { file, .. } | FormatError::Unsafe { file }) => vec![file],
        // Indexes are looked at when a checkpoint is merged.
        Ok(()) | Err(FormatError::Index { .. }) => Vec::new(),
    }))
}

/// The files of `dir`, not more than a tree may have. What has no name that a file of a tree could have is left out.
fn files(dir: &Path) -> io::Result<Vec<RepoPath>> {
    let mut found = Vec::new();
    let mut open: Vec<PathBuf> = vec![dir.to_owned()];
    while let Some(at) = open.pop() {
        for entry in fs::read_dir(at)? {
            let entry = entry?;
            let kind = entry.file_type()?;
            let path = entry.path();
            if kind.is_dir() {
                open.push(path);
            } else if let Some(name) = path.strip_prefix(dir).ok().and_then(Path::to_str).and_then(|p| p.parse().ok())
                // Peers link where they cannot give a file a second name; a link to nothing is no file.
                && fs::metadata(&path).is_ok_and(|found| found.is_file())
            {
                found.push(name);
            }
            if found.len() >= SNAPSHOT_FILES_MAX {
                return Ok(found);
            }
        }
    }
    Ok(found)
}
