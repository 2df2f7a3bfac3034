//! What is uploaded: read twice, once for its hash and once on its way, and the same both times. Owns no state.

use std::{
    fs::{self, File, Metadata},
    io,
    os::unix::fs::{FileExt as _, MetadataExt as _},
    path::{Path, PathBuf},
};

use bytes::Bytes;
use gen_worker_hub::{
    Blake3Hash, Digest,
    digest::{DigestAlgorithm, DigestHasher},
};

use super::error::UploadError;
use crate::{blob::feed, parallel_hash};

/// What is uploaded.
#[derive(Clone, Debug)]
pub enum UploadContent {
    /// A file. It must not change meanwhile; when it does, the upload fails.
    File(PathBuf),
    /// Bytes in memory.
    Bytes(Bytes),
}

/// Content whose hash is known.
#[derive(Clone, Debug)]
pub(super) struct Measured {
    pub(super) size_bytes: u64,
    pub(super) blake3: Blake3Hash,
    pub(super) source: Source,
}

/// Where measured content is read from.
#[derive(Clone, Debug)]
pub(super) enum Source {
    File { path: PathBuf, stamp: Stamp },
    Bytes(Bytes),
}

/// What tells one state of a file from another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stamp {
    device: u64,
    inode: u64,
    size_bytes: u64,
    modified: (i64, i64),
}

impl Measured {
    /// Reads all of `content`, at most `bytes_max` bytes. Blocks.
    pub(super) fn of(content: UploadContent, bytes_max: u64) -> Result<Self, UploadError> {
        let bounded = |size_bytes| match size_bytes {
            0 => Err(UploadError::Empty),
            _ if size_bytes > bytes_max => Err(UploadError::TooLarge { size_bytes, bytes_max }),
            _ => Ok(size_bytes),
        };
        match content {
            UploadContent::Bytes(bytes) => {
                let size_bytes = bounded(bytes.len() as u64)?;
                Ok(Self { size_bytes, blake3: Blake3Hash::of(&bytes), source: Source::Bytes(bytes) })
            }
            UploadContent::File(path) => Self::of_file(path, bounded),
        }
    }

    /// Reads all of the file at `path`, if `bounded` lets it have its size. Blocks.
    pub(super) fn of_file(
        path: PathBuf,
        bounded: impl FnOnce(u64) -> Result<u64, UploadError>,
    ) -> Result<Self, UploadError> {
        let (file, stamp) = open(&path)?;
        let size_bytes = bounded(stamp.size_bytes)?;
        let blake3 = parallel_hash::hash(&file, size_bytes);
        let blake3 = blake3.map_err(UploadError::disk("read of a file to upload", &path))?;
        // Some files say that they are empty, and are not.
        let more = file.read_at(&mut [0], size_bytes).map_err(UploadError::disk("read of a file to upload", &path))?;
        let blake3 = blake3.filter(|_| more == 0).ok_or_else(|| UploadError::Changed { path: path.clone() })?;
        let source = Source::File { path, stamp };
        source.unchanged()?;
        Ok(Self { size_bytes, blake3, source })
    }

    /// The SHA-256 of the content, in hexadecimal digits. Blocks.
    pub(super) fn sha256(&self) -> Result<String, UploadError> {
        match &self.source {
            Source::Bytes(bytes) => Ok(Digest::sha256(bytes).hex()),
            Source::File { path, .. } => {
                let file = self.source.open(path)?;
                let digest = sha256(file, path, self.size_bytes)?;
                self.source.unchanged()?;
                Ok(digest.hex())
            }
        }
    }
}

impl Source {
    /// Opens the file at `path`, which is that of this source, in the state that was measured.
    pub(super) fn open(&self, path: &Path) -> Result<File, UploadError> {
        let (file, found) = open(path)?;
        match self {
            Self::File { stamp, .. } if *stamp != found => Err(UploadError::Changed { path: path.to_owned() }),
            _ => Ok(file),
        }
    }

    /// Whether everything that was read so far belongs to one state of the file. Blocks.
    pub(super) fn unchanged(&self) -> Result<(), UploadError> {
        match self {
            Self::File { path, .. } => self.open(path).map(drop),
            Self::Bytes(_) => Ok(()),
        }
    }
}

impl Stamp {
    fn of(metadata: &Metadata) -> Self {
        Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            size_bytes: metadata.len(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
        }
    }
}

/// Opens a regular file. Looked at before it is opened: opening a pipe would wait for its writer.
fn open(path: &Path) -> Result<(File, Stamp), UploadError> {
    let regular = |metadata: Metadata| match metadata.is_file() {
        true => Ok(metadata),
        false => Err(io::Error::new(io::ErrorKind::InvalidInput, "it is no file")),
    };
    let opened = || {
        regular(fs::metadata(path)?)?;
        let file = File::open(path)?;
        let stamp = Stamp::of(&regular(file.metadata()?)?);
        Ok((file, stamp))
    };
    opened().map_err(UploadError::disk("open of a file to upload", path))
}

/// Fills `piece` from byte `at` on. A file that has fewer bytes has changed.
pub(super) fn read_at(file: &File, path: &Path, piece: &mut [u8], at: u64) -> Result<(), UploadError> {
    file.read_exact_at(piece, at).map_err(|error| match error.kind() {
        io::ErrorKind::UnexpectedEof => UploadError::Changed { path: path.to_owned() },
        _ => UploadError::disk("read of a file to upload", path)(error),
    })
}

/// SHA-256 of the file at `path`, which is open as `file` and has so many bytes in this state.
fn sha256(file: File, path: &Path, size_bytes: u64) -> Result<Digest, UploadError> {
    let mut hasher = DigestHasher::new(DigestAlgorithm::Sha256);
    feed(&mut hasher, file, size_bytes).map_err(UploadError::disk("read of a file to upload", path))?;
    Ok(hasher.digest())
}

#[cfg(test)]
mod tests;
