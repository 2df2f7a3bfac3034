//! One file by its content, and whether what is on disk is it.

use std::{
    io::{self, Read},
    path::Path,
};

use gen_worker_hub::{
    Blake3Hash, SignedUrl,
    api::TransferGrant,
    digest::{DigestAlgorithm, DigestHasher},
};
use rustix::io::Errno;

use crate::{
    durable,
    tree::Piece,
    wanted::{Credential, Size, Wanted},
};

/// Reads of files that are hashed: enough for the vector units of any processor, and little enough for the stack of a thread, so
/// that many threads keep nothing.
const READ_BYTES: usize = 64 * 1024;

/// A file that is wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Blob {
    /// Its content.
    pub(crate) blake3: Blake3Hash,
    /// Its size; none when nobody said. Then it cannot be resumed.
    pub(crate) size_bytes: Option<u64>,
    /// Where it is.
    pub(crate) url: SignedUrl,
    /// What it is asked for with, when only a bucket has it.
    pub(crate) grant: Option<Box<TransferGrant>>,
}

impl Blob {
    /// What a download has to bring.
    pub(crate) fn wanted(self) -> Wanted {
        let size = Size::of_blob(self.size_bytes);
        let credential = self.grant.map(Credential::Grant);
        Wanted { expected: self.blake3.into(), size, url: self.url, credential }
    }

    /// What it is in a tree.
    pub(crate) fn piece(&self) -> Piece {
        Piece { blake3: self.blake3, size_bytes: self.size_bytes }
    }
}

/// What a place on disk holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Found {
    /// Nothing.
    Nothing,
    /// The file, with so many bytes.
    Right(u64),
    /// Something else.
    Wrong,
}

/// Looks whether `path` has the size and the hashes of `pieces`, which follow each other (rule 6.1). Something that is no file
/// is wrong, and so is what the disk cannot read any more: nobody could load it. Blocks.
pub(crate) fn check(path: &Path, pieces: &[Piece]) -> io::Result<Found> {
    let looked = durable::reader(path).and_then(|file| {
        let Some(file) = file else { return Ok(Found::Nothing) };
        let bytes = file.metadata()?.len();
        Ok(if has_hashes(&file, bytes, pieces)? { Found::Right(bytes) } else { Found::Wrong })
    });
    match looked {
        Err(error) if error.kind() == io::ErrorKind::InvalidInput || is_damage(&error) => Ok(Found::Wrong),
        looked => looked,
    }
}

/// Whether `content`, which has `bytes`, is made of `pieces`.
fn has_hashes(mut content: impl Read, bytes: u64, pieces: &[Piece]) -> io::Result<bool> {
    let mut rest = bytes;
    for piece in pieces {
        let bytes = piece.size_bytes.unwrap_or(rest);
        if bytes > rest {
            return Ok(false);
        }
        rest -= bytes;
        let mut hasher = DigestHasher::new(DigestAlgorithm::Blake3);
        feed(&mut hasher, &mut content, bytes)?;
        if hasher.digest().as_blake3() != Some(piece.blake3) {
            return Ok(false);
        }
    }
    Ok(rest == 0)
}

/// Whether the disk says that what is on it is damaged: sectors that cannot be read, checksums of the file system that are wrong.
pub(crate) fn is_damage(error: &io::Error) -> bool {
    let damage = [
        Errno::IO,
        Errno::BADMSG,
        Errno::ILSEQ,
        #[cfg(target_os = "linux")]
        Errno::UCLEAN,
    ];
    error.raw_os_error().is_some_and(|code| damage.iter().any(|errno| errno.raw_os_error() == code))
}

/// Hashes the next `bytes` of `content`.
pub(crate) fn feed(hasher: &mut DigestHasher, content: impl Read, bytes: u64) -> io::Result<()> {
    feed_to(&mut |piece| hasher.update(piece), content, bytes)
}

/// Gives the next `bytes` of `content` to `hash`.
pub(crate) fn feed_to(hash: &mut dyn FnMut(&[u8]), content: impl Read, bytes: u64) -> io::Result<()> {
    let mut buffer = [0; READ_BYTES];
    let mut rest = content.take(bytes);
    loop {
        match rest.read(&mut buffer)? {
            0 => return Ok(()),
            read => hash(buffer.get(..read).unwrap_or_default()),
        }
    }
}

#[cfg(test)]
mod tests;
