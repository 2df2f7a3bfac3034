//! What Civitai says of models and versions, as values that hold no nonsense.

use std::collections::{BTreeMap, BTreeSet};

use gen_worker_hub::{RepoPath, digest::DigestAlgorithm, snapshot::SNAPSHOT_FILES_MAX};
use serde::Deserialize;

use crate::{
    providers::is_safe,
    wanted::{Expected, Size},
};

/// Bytes of what Civitai calls a kilobyte.
const KILOBYTE: f64 = 1024.0;

/// Largest size that is believed, in bytes: more would not be whole as a floating point number.
const SIZE_MAX: f64 = (1u64 << 53) as f64;

/// A model: its versions, the newest first.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Model {
    #[serde(default)]
    model_versions: Vec<Numbered>,
}

#[derive(Deserialize)]
struct Numbered {
    id: u64,
}

/// A version of a model.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Version {
    model_id: Option<u64>,
    #[serde(default)]
    files: Vec<Entry>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Entry {
    id: Option<u64>,
    #[serde(default)]
    name: String,
    size_bytes: Option<f64>,
    #[serde(rename = "sizeKB")]
    size_kb: Option<f64>,
    #[serde(default)]
    primary: Option<bool>,
    download_url: Option<String>,
    hashes: Option<BTreeMap<String, String>>,
}

/// A file of a version that can be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct VersionFile {
    pub(super) path: RepoPath,
    pub(super) size: Size,
    pub(super) expected: Expected,
    pub(super) url: String,
}

impl Model {
    /// The version that is listed first.
    pub(super) fn newest(&self) -> Option<String> {
        self.model_versions.first().map(|version| version.id.to_string())
    }
}

impl Version {
    /// Of which model it is.
    pub(super) fn model_id(&self) -> Option<u64> {
        self.model_id
    }

    /// The safetensors files that have an address: the primary one first, then by number and name (rule 5.3). Of files with one
    /// name the first counts.
    pub(super) fn files(mut self) -> Result<Vec<VersionFile>, &'static str> {
        if self.files.len() > SNAPSHOT_FILES_MAX {
            return Err("more files than a model may have");
        }
        self.files.sort_by_key(|file| (!file.primary.unwrap_or(false), file.id.unwrap_or(u64::MAX), file.name.clone()));
        let (mut files, mut names) = (Vec::new(), BTreeSet::new());
        for entry in self.files {
            // A name with slashes is a lie about the place: what is behind the last is meant.
            let name = entry.name.rsplit(['/', '\\']).next().unwrap_or_default();
            let (Ok(path), Some(url)) = (name.parse::<RepoPath>(), entry.download_url.filter(|url| !url.is_empty()))
            else {
                continue;
            };
            if !is_safe(&path) || !names.insert(name.to_lowercase()) {
                continue;
            }
            let size = size(entry.size_bytes, entry.size_kb);
            files.push(VersionFile { path, size, expected: expected(entry.hashes)?, url });
        }
        Ok(files)
    }
}

/// Rule 5.4: both forms may be rounded.
fn size(bytes: Option<f64>, kilobytes: Option<f64>) -> Size {
    let said = bytes.or(kilobytes.map(|kilobytes| kilobytes * KILOBYTE));
    let believed = said.filter(|bytes| (0.0..SIZE_MAX).contains(bytes));
    // In the range of whole numbers, so nothing is lost.
    believed.map_or(Size::Unknown, |bytes| Size::About(bytes.round() as u64))
}

fn expected(hashes: Option<BTreeMap<String, String>>) -> Result<Expected, &'static str> {
    let sha256 = hashes.into_iter().flatten().find(|(name, _)| name.eq_ignore_ascii_case("sha256"));
    let Some((_, hex)) = sha256.filter(|(_, hex)| !hex.trim().is_empty()) else { return Ok(Expected::Unsaid) };
    let text = format!("{}:{}", DigestAlgorithm::Sha256.as_str(), hex.trim());
    text.parse().map(Expected::Digest).map_err(|_| "a file whose hash is none")
}

#[cfg(test)]
mod tests;
