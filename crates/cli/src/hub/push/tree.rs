//! The files of a directory, with their hashes.

use std::{
    collections::HashMap,
    fs, io,
    path::{Path, PathBuf},
};

use gen_worker_hub::{
    RepoPath, Snapshot,
    repo_path::RepoPathError,
    snapshot::{SNAPSHOT_FILES_MAX, SnapshotError, SnapshotFile},
};
use gen_worker_store::{CommitFile, UploadError};

use super::Found;

/// Left behind by another downloader in the directories it fills (Hub contract, 6.10).
const SKIPPED: &str = ".cache/huggingface";

/// Why a directory is no tree.
#[derive(Debug, thiserror::Error)]
pub(super) enum TreeError {
    /// Something cannot be read.
    #[error("cannot read {}", .path.display())]
    Read {
        /// What.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A file cannot be read.
    #[error(transparent)]
    File(#[from] UploadError),
    /// A name that no tree may have.
    #[error("{} has a name that a checkpoint cannot have", .path.display())]
    Name {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: RepoPathError,
    },
    /// A name that is no text.
    #[error("{} has a name that is not UTF-8", .0.display())]
    NotText(PathBuf),
    /// Neither a file nor a directory, or a link to a directory: that may lead anywhere.
    #[error("{} is neither a file nor a directory", .0.display())]
    NoFile(PathBuf),
    /// The files cannot be together, or there are none.
    #[error("{} is no checkpoint", .path.display())]
    Tree {
        /// The directory.
        path: PathBuf,
        /// Why.
        #[source]
        source: SnapshotError,
    },
}

/// The files below a directory.
#[derive(Debug)]
pub(super) struct Tree {
    /// In the order of their paths.
    pub(super) files: Vec<SnapshotFile>,
    /// Their contents, by path.
    pub(super) contents: HashMap<RepoPath, CommitFile>,
}

/// Reads every file below `dir`. Links to files count as the file. Blocks.
pub(super) fn read(dir: &Path) -> Result<Tree, TreeError> {
    let mut found = Found::new();
    walk(dir, "", &mut found)?;
    let (mut files, mut contents) = (Vec::with_capacity(found.len()), HashMap::with_capacity(found.len()));
    for (path, place) in found {
        let name = |source| TreeError::Name { path: place.clone(), source };
        let path: RepoPath = path.parse().map_err(name)?;
        let content = CommitFile::read(place)?;
        files.push(SnapshotFile { path: path.clone(), size_bytes: content.size_bytes(), blake3: content.blake3() });
        contents.insert(path, content);
    }
    let tree = Snapshot::new(files).map_err(|source| TreeError::Tree { path: dir.to_owned(), source })?;
    Ok(Tree { files: tree.files().to_vec(), contents })
}

fn walk(dir: &Path, prefix: &str, found: &mut Found) -> Result<(), TreeError> {
    let read = |path: &Path| {
        let path = path.to_owned();
        |source| TreeError::Read { path, source }
    };
    for entry in fs::read_dir(dir).map_err(read(dir))? {
        let entry = entry.map_err(read(dir))?;
        let place = entry.path();
        let name = entry.file_name().into_string().map_err(|_| TreeError::NotText(place.clone()))?;
        let path = if prefix.is_empty() { name } else { format!("{prefix}/{name}") };
        if path == SKIPPED {
            continue;
        }
        let kind = entry.file_type().map_err(read(&place))?;
        if kind.is_dir() {
            // Depth is bounded by the length of a path, which is checked on the way down.
            path.parse::<RepoPath>().map_err(|source| TreeError::Name { path: place.clone(), source })?;
            walk(&place, &path, found)?;
        } else if fs::metadata(&place).map_err(read(&place))?.is_file() {
            found.insert(path, place);
        } else {
            return Err(TreeError::NoFile(place));
        }
        if found.len() > SNAPSHOT_FILES_MAX {
            return Err(TreeError::Tree { path: dir.to_owned(), source: SnapshotError::TooMany });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use gen_worker_hub::Blake3Hash;

    use super::*;

    fn write(dir: &Path, path: &str, text: &str) {
        let path = dir.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    #[test]
    fn h6_10_dotfiles_are_content_but_not_what_another_downloader_left() {
        let dir = tempfile::tempdir().unwrap();
        for path in ["b.json", "a/c.bin", ".gitattributes", ".cache/huggingface/x.lock", ".cache/other", "empty"] {
            write(dir.path(), path, if path == "empty" { "" } else { path });
        }
        std::os::unix::fs::symlink(dir.path().join("b.json"), dir.path().join("link.json")).unwrap();
        let files = read(dir.path()).unwrap().files;
        let paths: Vec<&str> = files.iter().map(|file| file.path.as_str()).collect();
        assert_eq!(paths, [".cache/other", ".gitattributes", "a/c.bin", "b.json", "empty", "link.json"]);
        let of = |path: &str| files.iter().find(|file| file.path.as_str() == path).unwrap();
        assert_eq!((of("b.json").blake3, of("b.json").size_bytes), (Blake3Hash::of(b"b.json"), 6));
        assert_eq!(of("link.json").blake3, of("b.json").blake3);
        assert_eq!((of("empty").blake3, of("empty").size_bytes), (Blake3Hash::of(b""), 0));
    }

    #[test]
    fn what_is_no_tree_is_refused_by_name() {
        let dir = tempfile::tempdir().unwrap();
        assert!(matches!(read(dir.path()), Err(TreeError::Tree { source: SnapshotError::Empty, .. })));
        assert!(matches!(read(&dir.path().join("none")), Err(TreeError::Read { .. })));
        write(dir.path(), "back\\slash", "x");
        let error = read(dir.path()).unwrap_err();
        assert!(matches!(error, TreeError::Name { .. }) && error.to_string().contains("back"), "{error}");
        fs::remove_file(dir.path().join("back\\slash")).unwrap();
        write(dir.path(), "Same", "x");
        write(dir.path(), "same", "x");
        assert!(matches!(read(dir.path()), Err(TreeError::Tree { source: SnapshotError::Paths(_), .. })));
        fs::remove_file(dir.path().join("Same")).unwrap();
        std::os::unix::fs::symlink("/", dir.path().join("root")).unwrap();
        assert!(matches!(read(dir.path()), Err(TreeError::NoFile(_))));
    }
}
