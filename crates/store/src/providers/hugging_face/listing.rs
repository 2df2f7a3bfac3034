//! What Hugging Face says of the files of a repository, as values that hold no nonsense.

use gen_worker_hub::{Digest, RepoPath, digest::DigestAlgorithm, snapshot::SNAPSHOT_FILES_MAX};
use reqwest::header::{self, HeaderMap};
use serde::Deserialize;

use super::{ProviderError, strange};
use crate::wanted::{Expected, GitBlobId, Size};

/// A repository at a revision.
#[derive(Deserialize)]
pub(super) struct Repository {
    sha: Option<String>,
    #[serde(default)]
    siblings: Vec<Sibling>,
}

#[derive(Deserialize)]
struct Sibling {
    rfilename: String,
    size: Option<u64>,
    #[serde(rename = "blobId")]
    blob_id: Option<String>,
    lfs: Option<Lfs>,
}

/// A line of the tree.
#[derive(Deserialize)]
pub(super) struct TreeEntry {
    #[serde(rename = "type")]
    kind: String,
    path: String,
    size: Option<u64>,
    oid: Option<String>,
    lfs: Option<Lfs>,
}

/// A file that git has a pointer of only. Its hash has two names.
#[derive(Deserialize)]
struct Lfs {
    #[serde(alias = "oid")]
    sha256: Option<String>,
    size: Option<u64>,
}

/// A file of a repository.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Listed {
    pub(super) path: RepoPath,
    size: Option<u64>,
    digest: Option<FileDigest>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum FileDigest {
    Sha256(Digest),
    Git(GitBlobId),
}

impl Repository {
    /// The commit: it names a directory.
    pub(super) fn commit(&self) -> Option<String> {
        self.sha.as_deref().filter(|sha| is_commit(sha)).map(str::to_ascii_lowercase)
    }

    /// Its files; none when the server says names only.
    pub(super) fn listed(self, model: &str) -> Result<Option<Vec<Listed>>, ProviderError> {
        check_count(self.siblings.len())?;
        let files = self.siblings.into_iter().map(|Sibling { rfilename, size, blob_id, lfs }| {
            Listed::new(model, &rfilename, size, blob_id.as_deref(), lfs)
        });
        let files: Vec<_> = files.collect::<Result<_, _>>()?;
        Ok(files.iter().all(|file| file.known().is_some()).then_some(files))
    }
}

impl TreeEntry {
    /// The file; none when it is a directory.
    pub(super) fn listed(self, model: &str) -> Result<Option<Listed>, ProviderError> {
        let Self { kind, path, size, oid, lfs } = self;
        (kind == "file").then(|| Listed::new(model, &path, size, oid.as_deref(), lfs)).transpose()
    }
}

impl Listed {
    fn new(
        model: &str,
        path: &str,
        size: Option<u64>,
        git: Option<&str>,
        lfs: Option<Lfs>,
    ) -> Result<Self, ProviderError> {
        let path = path.parse().map_err(|source| ProviderError::Path { model: model.to_owned(), source })?;
        let wrong = || strange("a file whose hash is none");
        let (size, digest) = match lfs {
            // What git has is a pointer: its own hash says nothing of the file.
            Some(Lfs { sha256, size: own }) => {
                let digest = sha256.map(|hex| sha256_of(&hex).ok_or_else(wrong)).transpose()?;
                (own.or(size), digest.map(FileDigest::Sha256))
            }
            None => {
                let id = git.map(|hex| hex.parse().map_err(|_| wrong())).transpose()?;
                (size, id.map(FileDigest::Git))
            }
        };
        Ok(Self { path, size, digest })
    }

    /// Its size, when it was said.
    pub(super) fn size(&self) -> Option<u64> {
        self.size
    }

    /// Size and hash, when both were said.
    pub(super) fn known(&self) -> Option<(Size, Expected)> {
        let size_bytes = self.size?;
        let expected = match self.digest? {
            FileDigest::Sha256(digest) => Expected::Digest(digest),
            FileDigest::Git(id) => Expected::GitBlob { id, size_bytes },
        };
        Some((Size::Exactly(size_bytes), expected))
    }
}

/// Size and hash of a file by what its server says when asked for it. It has to be of `commit`.
pub(super) fn of_headers(headers: &HeaderMap, commit: &str) -> Result<(Size, Expected), ProviderError> {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    if text("x-repo-commit").is_some_and(|other| !other.eq_ignore_ascii_case(commit)) {
        return Err(strange("a file of another commit"));
    }
    let linked = text("x-linked-etag").is_some();
    let etag = text("x-linked-etag").or_else(|| text(header::ETAG.as_str())).unwrap_or_default();
    let etag = etag.trim_start_matches("W/").trim_matches('"');
    // Where it is kept elsewhere, the length is that of the redirect.
    let length = if linked { text("x-linked-size") } else { text(header::CONTENT_LENGTH.as_str()) };
    let size_bytes = length.and_then(|length| length.parse().ok()).ok_or_else(|| strange("a file without a size"))?;
    let expected = match (sha256_of(etag), etag.parse()) {
        (Some(digest), _) => Expected::Digest(digest),
        (None, Ok(id)) => Expected::GitBlob { id, size_bytes },
        (None, Err(_)) => return Err(strange("a file without a hash")),
    };
    Ok((Size::Exactly(size_bytes), expected))
}

/// Whether `text` is the full name of a commit.
pub(super) fn is_commit(text: &str) -> bool {
    matches!(text.len(), 40 | 64) && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// No more than a tree may have.
pub(super) fn check_count(files: usize) -> Result<(), ProviderError> {
    if files > SNAPSHOT_FILES_MAX { Err(strange("more files than a model may have")) } else { Ok(()) }
}

fn sha256_of(hex: &str) -> Option<Digest> {
    format!("{}:{hex}", DigestAlgorithm::Sha256.as_str()).parse().ok()
}
