//! Where the files of a provider go. A value, and the last step: what makes files a model. That step blocks.

use std::{
    collections::BTreeSet,
    ffi::OsStr,
    fs, io,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
};

use gen_worker_hub::{Blake3Hash, RepoPath};

use super::RemoteFile;
use crate::{durable, layout::Layout, lock::StoreLock, wanted::Expected};

/// Directory of the files of a repository in the cache of Hugging Face, by what they hash to.
pub(crate) const BLOBS: &str = "blobs";

/// Suffix of a file in the cache of Hugging Face that is not complete.
pub(crate) const HUB_CACHE_PART_SUFFIX: &str = ".incomplete";

/// Who has this lock is the only one to bring the file `place` to the cache in `hub`. None when it is not there.
pub(crate) fn hub_cache_lock(hub: &Path, place: &Path) -> Option<PathBuf> {
    let repo = place.strip_prefix(hub).ok()?.iter().next()?;
    let mut name = place.file_name()?.to_owned();
    name.push(LOCK_SUFFIX);
    Some(locks(hub, repo).join(name))
}

/// Where the locks of a repository are, as the library has them.
fn locks(hub: &Path, repo: &OsStr) -> PathBuf {
    hub.join(".locks").join(repo)
}

/// Suffix of the file of a lock there.
const LOCK_SUFFIX: &str = ".lock";

/// Where the files of one model go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// The cache that is shared with the Python library (rule 4.15): files by content, and trees of links to them.
    HuggingFace(HubCache),
    /// A directory of the store.
    Directory(Directory),
}

/// One repository in the cache of Hugging Face, and one commit of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct HubCache {
    /// `<HF_HOME>/hub`
    pub(crate) hub: PathBuf,
    /// `models--<owner>--<repo>`
    pub(crate) repo: String,
    pub(crate) commit: String,
    /// What was asked for when that is not the commit: the library looks it up in `refs`.
    pub(crate) revision: Option<RepoPath>,
}

/// A directory that has the files under their own names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Directory {
    pub(crate) root: PathBuf,
    pub(crate) dir: PathBuf,
    /// What is written beside the files.
    pub(crate) note: Option<(RepoPath, Vec<u8>)>,
    /// Whether a model of one file is that file (rule 5.5).
    pub(crate) single: bool,
}

/// Where one file goes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct FilePlace {
    pub(crate) place: PathBuf,
    /// Where it is while it comes.
    pub(crate) part: PathBuf,
    /// Who has this lock is the only one to bring it.
    pub(crate) lock: PathBuf,
}

impl Place {
    /// The directory of the model.
    pub(crate) fn dir(&self) -> PathBuf {
        match self {
            Self::HuggingFace(cache) => cache.repo_dir().join("snapshots").join(&cache.commit),
            Self::Directory(directory) => directory.dir.clone(),
        }
    }

    /// Where everything of the place is below.
    pub(crate) fn root(&self) -> &Path {
        match self {
            Self::HuggingFace(cache) => &cache.hub,
            Self::Directory(directory) => &directory.root,
        }
    }

    /// Whether a model of one file is that file.
    pub(crate) fn single(&self) -> bool {
        matches!(self, Self::Directory(directory) if directory.single)
    }

    /// Where `file` goes.
    pub(crate) fn of(&self, layout: &Layout, file: &RemoteFile) -> FilePlace {
        match self {
            Self::HuggingFace(cache) => {
                let name = cache.blob_name(file);
                let place = cache.repo_dir().join(BLOBS).join(&name);
                // As the library names them: what one has begun, the other goes on with.
                let part = place.with_file_name(format!("{name}{HUB_CACHE_PART_SUFFIX}"));
                let lock = cache.locks().join(format!("{name}{LOCK_SUFFIX}"));
                FilePlace { place, part, lock }
            }
            Self::Directory(directory) => {
                let place = directory.dir.join(file.path.as_str());
                let mut part = place.clone().into_os_string();
                part.push(crate::layout::PART_SUFFIX);
                FilePlace { lock: layout.file_lock(&place), place, part: part.into() }
            }
        }
    }

    /// Who has this lock is the only one to make the files a model.
    pub(crate) fn lock(&self, layout: &Layout) -> PathBuf {
        match self {
            Self::HuggingFace(cache) => cache.locks().join(format!("snapshot-{}.lock", cache.commit)),
            Self::Directory(directory) => {
                let id = Blake3Hash::of(directory.dir.as_os_str().as_encoded_bytes());
                layout.locks().join(format!("dir-{id}"))
            }
        }
    }

    /// Makes the files a model: they are all there, each in its place. Durable on return.
    pub(crate) fn finish(&self, files: &[RemoteFile]) -> io::Result<()> {
        match self {
            Self::HuggingFace(cache) => cache.link(files),
            Self::Directory(directory) => directory
                .note
                .as_ref()
                .map_or(Ok(()), |(name, text)| durable::replace(&directory.dir.join(name.as_str()), text, true)),
        }
    }
}

impl HubCache {
    pub(crate) fn repo_dir(&self) -> PathBuf {
        self.hub.join(&self.repo)
    }

    /// Where its locks are.
    fn locks(&self) -> PathBuf {
        locks(&self.hub, self.repo.as_ref())
    }

    /// What a file is called in `blobs`: its hash, as the library has it from the server.
    fn blob_name(&self, file: &RemoteFile) -> String {
        match file.expected {
            Expected::Digest(digest) => digest.hex(),
            Expected::GitBlob { id, .. } => id.to_string(),
            // Nothing says what is in it but where it is.
            Expected::Unsaid => Blake3Hash::of(format!("{}/{}", self.commit, file.path).as_bytes()).to_string(),
        }
    }

    /// The tree of links, then the name of the commit: who finds the name finds the tree.
    fn link(&self, files: &[RemoteFile]) -> io::Result<()> {
        let repo = self.repo_dir();
        let tree = repo.join("snapshots").join(&self.commit);
        let mut dirs = BTreeSet::new();
        for file in files {
            let at = tree.join(file.path.as_str());
            let dir = at.parent().unwrap_or(&tree);
            if dirs.insert(dir.to_owned()) {
                durable::make_dirs(&self.hub, dir)?;
            }
            let name = self.blob_name(file);
            let up = "../".repeat(file.path.as_str().matches('/').count() + 2);
            point(&at, Path::new(&format!("{up}{BLOBS}/{name}")), &repo.join(BLOBS).join(&name))?;
        }
        dirs.iter().try_for_each(|dir| durable::sync_dir(dir))?;
        let Some(revision) = &self.revision else { return Ok(()) };
        let at = repo.join("refs").join(revision.as_str());
        durable::make_dirs(&self.hub, at.parent().unwrap_or(&repo))?;
        // Others may make another commit the revision at this moment.
        let _alone = StoreLock::take_briefly(&self.locks().join("refs.lock"))?;
        durable::replace(&at, self.commit.as_bytes(), true)
    }
}

/// Makes `at` a link to `target`, which is `blob` seen from there; where links cannot be, it has the same content.
fn point(at: &Path, target: &Path, blob: &Path) -> io::Result<()> {
    if fs::read_link(at).is_ok_and(|there| there == target) {
        return Ok(());
    }
    let mut name = at.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}.tmp", std::process::id()));
    let temporary = at.with_file_name(name);
    durable::remove_file(&temporary)?;
    if symlink(target, &temporary).is_err() {
        durable::link(blob, &temporary)?;
    }
    fs::rename(&temporary, at)
}
