//! One file by its content, and whether what is on disk is it.

use std::{
    fs::File,
    io::{self, Read},
    path::Path,
};

use gen_worker_hub::{
    Blake3Hash, SignedUrl,
    digest::{DigestAlgorithm, DigestHasher},
};

use crate::{
    durable,
    tree::Piece,
    wanted::{Size, Wanted},
};

/// Reads of files that are hashed: enough for the vector units of any processor, small beside a cache.
const READ_BYTES: usize = 256 * 1024;

/// A file that is wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Blob {
    /// Its content.
    pub(crate) blake3: Blake3Hash,
    /// Its size; none when nobody said. Then it cannot be resumed.
    pub(crate) size_bytes: Option<u64>,
    /// Where it is.
    pub(crate) url: SignedUrl,
}

impl Blob {
    /// What a download has to bring.
    pub(crate) fn wanted(self) -> Wanted {
        let size = Size::of_blob(self.size_bytes);
        Wanted { expected: self.blake3.into(), size, url: self.url, credential: None }
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
/// is wrong. Blocks.
pub(crate) fn check(path: &Path, pieces: &[Piece]) -> io::Result<Found> {
    let file = match durable::reader(path) {
        Ok(Some(file)) => file,
        Ok(None) => return Ok(Found::Nothing),
        Err(error) if error.kind() == io::ErrorKind::InvalidInput => return Ok(Found::Wrong),
        Err(error) => return Err(error),
    };
    let found = file.metadata()?.len();
    let mut rest = found;
    for piece in pieces {
        let bytes = piece.size_bytes.unwrap_or(rest);
        if bytes > rest {
            return Ok(Found::Wrong);
        }
        rest -= bytes;
        let mut hasher = DigestHasher::new(DigestAlgorithm::Blake3);
        feed(&mut hasher, file.try_clone()?, bytes)?;
        if hasher.digest().as_blake3() != Some(piece.blake3) {
            return Ok(Found::Wrong);
        }
    }
    Ok(if rest == 0 { Found::Right(found) } else { Found::Wrong })
}

/// Hashes the next `bytes` of `file`.
pub(crate) fn feed(hasher: &mut DigestHasher, file: File, bytes: u64) -> io::Result<()> {
    feed_to(&mut |piece| hasher.update(piece), file, bytes)
}

/// Gives the next `bytes` of `file` to `hash`.
pub(crate) fn feed_to(hash: &mut dyn FnMut(&[u8]), file: File, bytes: u64) -> io::Result<()> {
    let mut buffer = vec![0; READ_BYTES];
    let mut rest = file.take(bytes);
    loop {
        match rest.read(&mut buffer)? {
            0 => return Ok(()),
            read => hash(buffer.get(..read).unwrap_or_default()),
        }
    }
}
