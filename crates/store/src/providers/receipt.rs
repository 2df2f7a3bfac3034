//! What a request got: so that the same request needs no network the next time, and none at all offline (rules 3.4, 3.8).
//!
//! `refs/providers/<key>.json` in the store. It says names and sizes, and is believed only as far as the files are there.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use gen_worker_hub::RepoPath;
use serde::{Deserialize, Serialize};

use super::RemoteModel;
use crate::durable;

/// Largest receipt: a hundred thousand files.
const RECEIPT_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// A model of a provider on disk.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Receipt {
    /// Its directory.
    pub(crate) dir: PathBuf,
    /// Links of the directory lead to files in here and nowhere else.
    pub(crate) within: PathBuf,
    /// Whether the model is its one file.
    pub(crate) single: bool,
    pub(crate) files: Vec<ReceivedFile>,
}

/// One file of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ReceivedFile {
    pub(crate) path: RepoPath,
    pub(crate) bytes: u64,
}

impl Receipt {
    /// The receipt for what is on disk of `model` now. Blocks.
    pub(crate) fn of(model: &RemoteModel, within: PathBuf) -> io::Result<Self> {
        let dir = model.place.dir();
        let mut files = Vec::with_capacity(model.files.len());
        for file in &model.files {
            let bytes = fs::metadata(dir.join(file.path.as_str()))?.len();
            files.push(ReceivedFile { path: file.path.clone(), bytes });
        }
        let single = model.place.single() && files.len() == 1;
        Ok(Self { dir, within, single, files })
    }

    /// Reads the receipt at `path`; none when there is none that can be read. Blocks.
    pub(crate) fn read(path: &Path) -> Option<Self> {
        let bytes = durable::read_bounded(path, RECEIPT_BYTES_MAX).ok().flatten()?;
        serde_json::from_slice(&bytes).ok()
    }

    /// Writes it to `path`, below `root`. Durable on return. Blocks.
    pub(crate) fn write(&self, root: &Path, path: &Path) -> io::Result<()> {
        path.parent().map_or(Ok(()), |dir| durable::make_dirs(root, dir))?;
        durable::replace(path, &serde_json::to_vec(self)?, true)
    }

    /// What the model is at: its directory, or its one file.
    pub(crate) fn model(&self) -> PathBuf {
        match self.files.as_slice() {
            [file] if self.single => self.dir.join(file.path.as_str()),
            _ => self.dir.clone(),
        }
    }

    /// Bytes of its files.
    pub(crate) fn bytes(&self) -> u64 {
        self.files.iter().fold(0, |sum, file| sum.saturating_add(file.bytes))
    }

    /// Whether all files are there, with their sizes, and where they should be. Blocks.
    pub(crate) fn is_whole(&self) -> bool {
        !self.files.is_empty()
            && self.files.iter().all(|file| {
                self.target(&file.path)
                    .and_then(|at| fs::symlink_metadata(at).ok())
                    .is_some_and(|found| found.is_file() && found.len() == file.bytes)
            })
    }

    /// The file itself that `path` names or links to; none when it is nowhere or outside. Blocks.
    pub(crate) fn target(&self, path: &RepoPath) -> Option<PathBuf> {
        let at = fs::canonicalize(self.dir.join(path.as_str())).ok()?;
        at.starts_with(fs::canonicalize(&self.within).ok()?).then_some(at)
    }
}
