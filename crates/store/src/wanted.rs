//! A file that is wanted: where it is, and how to know that what came is it. Values, and the hash of what comes.

use std::{io, path::Path};

use gen_worker_hub::{
    BearerToken, Blake3Hash, Digest, SignedUrl,
    api::TransferGrant,
    digest::{DigestAlgorithm, DigestHasher},
};
use ring::digest::{Context, SHA1_FOR_LEGACY_USE_ONLY, SHA1_OUTPUT_LEN};

use crate::{blob, durable};

/// A file, before it is on disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Wanted {
    pub(crate) expected: Expected,
    pub(crate) size: Size,
    pub(crate) url: SignedUrl,
    /// For the server of `url` and no other.
    pub(crate) credential: Option<Credential>,
}

/// What an address is asked with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Credential {
    /// For its server and no other.
    Bearer(BearerToken),
    /// For one object of a bucket: each request is signed (Hub contract, 4.28).
    Grant(Box<TransferGrant>),
}

/// What says that bytes are the right ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expected {
    /// Their hash.
    Digest(Digest),
    /// The name that git gives them: it hashes their number too, so that has to be known.
    GitBlob {
        /// The name.
        id: GitBlobId,
        /// Their number.
        size_bytes: u64,
    },
    /// Nobody said: their number has to do.
    Unsaid,
}

/// How git names a file: SHA-1 over a header and its bytes. Displays as 40 lower-case digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct GitBlobId([u8; SHA1_OUTPUT_LEN]);

/// In front of how git names a file, in notes.
const GIT: &str = "git:";

/// How many bytes a file has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Size {
    /// So many.
    Exactly(u64),
    /// So many, give or take [`SIZE_SLACK_BYTES`]: a provider rounded.
    About(u64),
    /// Nobody said.
    Unknown,
}

/// What a rounded size may be wrong by (rule 5.4).
pub const SIZE_SLACK_BYTES: u64 = 1024;

/// The hash of bytes that come one after the other.
pub(crate) enum Hasher {
    Digest(DigestHasher),
    Git(Box<Context>),
    Nothing,
}

impl Expected {
    pub(crate) fn hasher(&self) -> Hasher {
        match self {
            Self::Digest(digest) => Hasher::Digest(DigestHasher::new(digest.algorithm())),
            Self::GitBlob { size_bytes, .. } => {
                let mut context = Context::new(&SHA1_FOR_LEGACY_USE_ONLY);
                context.update(format!("blob {size_bytes}\0").as_bytes());
                Hasher::Git(Box::new(context))
            }
            Self::Unsaid => Hasher::Nothing,
        }
    }

    /// As a text that [`Self::of_note`] reads; none when nobody said anything.
    pub(crate) fn note(&self) -> Option<String> {
        match self {
            Self::Digest(digest) => Some(digest.to_string()),
            Self::GitBlob { id, .. } => Some(format!("{GIT}{id}")),
            Self::Unsaid => None,
        }
    }

    /// What `note` says of a file of `size_bytes`. What is no note says nothing.
    pub(crate) fn of_note(note: &str, size_bytes: u64) -> Self {
        match note.strip_prefix(GIT) {
            Some(id) => id.parse().map_or(Self::Unsaid, |id| Self::GitBlob { id, size_bytes }),
            None => note.parse().map_or(Self::Unsaid, Self::Digest),
        }
    }

    /// Whether what `hasher` has seen is it.
    pub(crate) fn is(&self, hasher: Hasher) -> bool {
        match (self, hasher) {
            (Self::Digest(digest), Hasher::Digest(hasher)) => hasher.digest() == *digest,
            (Self::GitBlob { id, .. }, Hasher::Git(context)) => context.finish().as_ref() == id.0,
            (Self::Unsaid, Hasher::Nothing) => true,
            _ => false,
        }
    }
}

impl From<Blake3Hash> for Expected {
    fn from(hash: Blake3Hash) -> Self {
        Self::Digest(hash.into())
    }
}

impl Hasher {
    pub(crate) fn update(&mut self, bytes: &[u8]) {
        match self {
            Self::Digest(hasher) => hasher.update(bytes),
            Self::Git(context) => context.update(bytes),
            Self::Nothing => {}
        }
    }
}

impl Size {
    /// Of a blob of the hub, where only none is unknown.
    pub(crate) fn of_blob(size_bytes: Option<u64>) -> Self {
        size_bytes.map_or(Self::Unknown, Self::Exactly)
    }

    /// The number, when it is one.
    #[must_use]
    pub fn exactly(self) -> Option<u64> {
        match self {
            Self::Exactly(bytes) => Some(bytes),
            Self::About(_) | Self::Unknown => None,
        }
    }

    /// The number as far as it is known.
    #[must_use]
    pub fn roughly(self) -> Option<u64> {
        match self {
            Self::Exactly(bytes) | Self::About(bytes) => Some(bytes),
            Self::Unknown => None,
        }
    }

    /// The most bytes that the file can have.
    #[must_use]
    pub fn at_most(self) -> Option<u64> {
        match self {
            Self::Exactly(bytes) => Some(bytes),
            Self::About(bytes) => Some(bytes.saturating_add(SIZE_SLACK_BYTES)),
            Self::Unknown => None,
        }
    }

    /// Whether a file of `bytes` can be it.
    #[must_use]
    pub fn fits(self, bytes: u64) -> bool {
        match self {
            Self::Exactly(said) => said == bytes,
            Self::About(said) => said.abs_diff(bytes) <= SIZE_SLACK_BYTES,
            Self::Unknown => true,
        }
    }
}

impl std::str::FromStr for GitBlobId {
    type Err = gen_worker_hub::digest::DigestError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        // A hash of git is a shorter one of the same digits: filled up it is read like the others.
        if text.len() != 2 * SHA1_OUTPUT_LEN {
            return Err(Self::Err::Hex);
        }
        let filled: Digest = format!("{}:{text:0<64}", DigestAlgorithm::Sha256.as_str()).parse()?;
        let mut id = [0; SHA1_OUTPUT_LEN];
        id.iter_mut().zip(filled.as_bytes()).for_each(|(to, from)| *to = *from);
        Ok(Self(id))
    }
}

impl std::fmt::Display for GitBlobId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl std::fmt::Debug for GitBlobId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::fmt::Display::fmt(self, f)
    }
}

/// Whether the file at `path` is there and the right one. Something that is no file is not. Blocks, and reads all of it.
pub(crate) fn check(path: &Path, expected: &Expected, size: Size) -> io::Result<bool> {
    let file = match durable::reader(path) {
        Ok(Some(file)) => file,
        Ok(None) => return Ok(false),
        Err(error) if error.kind() == io::ErrorKind::InvalidInput => return Ok(false),
        Err(error) => return Err(error),
    };
    if !size.fits(file.metadata()?.len()) {
        return Ok(false);
    }
    let mut hasher = expected.hasher();
    blob::feed_to(&mut |piece| hasher.update(piece), file, u64::MAX)?;
    Ok(expected.is(hasher))
}

#[cfg(test)]
mod tests;
