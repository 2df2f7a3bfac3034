//! What a request got: so that the same request needs no network the next time, and none at all offline (rules 3.4, 3.8).
//!
//! `refs/providers/<key>.json` in the store. It says names and sizes, and is believed only as far as the files are there.

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
};

use gen_worker_hub::{RepoPath, digest::DigestAlgorithm};
use serde::{Deserialize, Serialize};

use super::{RemoteModel, place::BLOBS, tree_of_files};
use crate::{durable, layout::Layout, wanted::Expected};

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
    /// What its provider said of its bytes (see [`Expected::note`]).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) expected: Option<String>,
}

impl ReceivedFile {
    /// A file of which nobody says what is in it.
    pub(crate) fn found(path: RepoPath, bytes: u64) -> Self {
        Self { path, bytes, expected: None }
    }

    /// What its bytes have to be.
    pub(crate) fn expected(&self) -> Expected {
        self.expected.as_deref().map_or(Expected::Unsaid, |note| Expected::of_note(note, self.bytes))
    }
}

impl Receipt {
    /// The receipt for what is on disk of `model` now. Blocks.
    pub(crate) fn of(model: &RemoteModel, within: PathBuf) -> io::Result<Self> {
        let dir = model.place.dir();
        let mut files = Vec::with_capacity(model.files.len());
        for file in &model.files {
            let bytes = fs::metadata(dir.join(file.path.as_str()))?.len();
            files.push(ReceivedFile { path: file.path.clone(), bytes, expected: file.expected.note() });
        }
        let single = model.place.single() && files.len() == 1;
        Ok(Self { dir, within, single, files })
    }

    /// Reads the receipt at `path`; none when there is none that can be read. Blocks.
    pub(crate) fn read(path: &Path) -> Option<Self> {
        let bytes = durable::read_bounded(path, RECEIPT_BYTES_MAX).ok().flatten()?;
        serde_json::from_slice(&bytes).ok()
    }

    /// The model in `dir` with all files that any request got of it; without a request, with all that is there. None when nothing
    /// is. Blocks.
    pub(crate) fn of_dir(layout: &Layout, dir: &Path) -> io::Result<Option<Self>> {
        let mut files = BTreeMap::new();
        for receipt in fs::read_dir(layout.receipts()).into_iter().flatten() {
            let receipt = Self::read(&receipt?.path()).filter(|receipt| receipt.dir == dir);
            files.extend(receipt.into_iter().flat_map(|receipt| receipt.files).map(|file| (file.path.clone(), file)));
        }
        let within = layout.eviction_unit(dir).unwrap_or_else(|| dir.to_owned());
        let mut all = Self { dir: dir.to_owned(), within, single: false, files: files.into_values().collect() };
        if all.files.is_empty() {
            for path in tree_of_files(dir)?.unwrap_or_default() {
                let Some(at) = all.target(&path) else { continue };
                let bytes = fs::metadata(&at)?.len();
                all.files.push(ReceivedFile { expected: named(&at), ..ReceivedFile::found(path, bytes) });
            }
        }
        Ok(Some(all).filter(|all| !all.files.is_empty()))
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

/// What the cache of Hugging Face says of a file by the name of its blob: what it hashes to, which is 40 digits for git.
fn named(at: &Path) -> Option<String> {
    let is_blob = at.parent().and_then(Path::file_name).is_some_and(|parent| parent == BLOBS);
    let name = at.file_name()?.to_str().filter(|_| is_blob)?;
    let expected = match name.parse() {
        // Of how many bytes is noted beside it.
        Ok(id) => Expected::GitBlob { id, size_bytes: 0 },
        Err(_) => Expected::Digest(format!("{}:{name}", DigestAlgorithm::Sha256.as_str()).parse().ok()?),
    };
    expected.note()
}
