//! Files that come in pieces (rule 6.17): `<file>.part0001`, … and `<file>.parts.json`, which says the same once more. In the
//! tree is the file alone. Pure functions of what is listed.

use std::collections::BTreeMap;

use gen_worker_hub::{Digest, RepoPath};
use serde::Deserialize;

use super::{Piece, TreeError, TreeFile};

/// Largest description: a hundred thousand pieces.
pub(crate) const DESCRIPTION_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// What a description is called.
const DESCRIPTION: &str = ".parts.json";

/// What is between the name of a file and the number of a piece.
const PART: &str = ".part";

/// What a description says.
#[derive(Deserialize)]
struct Description {
    original_path: String,
    parts: Vec<DescribedPart>,
    size_bytes: Option<u64>,
    digest: Option<Digest>,
}

#[derive(Deserialize)]
struct DescribedPart {
    digest: Digest,
}

/// The files that are in the tree of what is `listed`. A description without pieces is a file like others.
pub(super) fn joined(mut listed: BTreeMap<RepoPath, Piece>) -> Vec<TreeFile> {
    let mut pieces: BTreeMap<String, BTreeMap<u64, RepoPath>> = BTreeMap::new();
    for path in listed.keys() {
        let named = path.as_str().rsplit_once(PART).and_then(|(name, number)| Some((name, number.parse().ok()?)));
        if let Some((name, number)) = named {
            pieces.entry(name.to_owned()).or_default().entry(number).or_insert_with(|| path.clone());
        }
    }
    let mut files = Vec::with_capacity(listed.len());
    for (name, paths) in pieces {
        let (Ok(path), Ok(description)) = (name.parse(), format!("{name}{DESCRIPTION}").parse::<RepoPath>()) else {
            continue;
        };
        let Some(description) = listed.remove(&description) else { continue };
        let pieces = paths.into_values().filter_map(|path| listed.remove(&path)).collect();
        files.push(TreeFile { path, pieces, description: Some(description) });
    }
    let whole = |(path, piece)| TreeFile { path, pieces: vec![piece], description: None };
    files.extend(listed.into_iter().map(whole));
    files
}

/// Whether `bytes` describe `file`. Gives the digest of the whole, where the description has one.
pub(crate) fn check_description(file: &TreeFile, bytes: &[u8]) -> Result<Option<Digest>, TreeError> {
    let wrong = || TreeError::Pieces(file.path.clone());
    let said: Description = serde_json::from_slice(bytes).map_err(|_| wrong())?;
    let path = said.original_path.replace('\\', "/");
    let described = said.parts.iter().map(|part| part.digest.as_blake3());
    let same_path = path.trim_start_matches('/') == file.path.as_str();
    let same_size = said.size_bytes.is_none_or(|size| file.size_bytes().is_none_or(|known| known == size));
    if same_path && same_size && described.eq(file.pieces.iter().map(|piece| Some(piece.blake3))) {
        Ok(said.digest)
    } else {
        Err(wrong())
    }
}

#[cfg(test)]
mod tests;
