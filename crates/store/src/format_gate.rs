//! Weights that could run code when they are loaded are refused (section 11). Owns no state; blocks.

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
};

use gen_worker_hub::RepoPath;

use crate::safetensors::{HeaderError, check_safetensors};

/// Formats whose loading can run code.
const UNSAFE: [&str; 6] = [".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle"];

/// The format whose loading cannot.
const SAFE: &str = ".safetensors";

/// Why a model is not loaded.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FormatError {
    /// A component has weights, and none that are safe.
    #[error("the weights at {file} can run code when they are loaded, and there are no safetensors beside them")]
    Unsafe {
        /// The largest such file.
        file: RepoPath,
    },
    /// A safetensors file is broken.
    #[error("{file} is broken")]
    Broken {
        /// Which.
        file: RepoPath,
        /// What is wrong with it.
        source: HeaderError,
    },
    /// An index does not fit to its shards.
    #[error("{file} does not say how its shards fit together")]
    Index {
        /// The index.
        file: String,
    },
    /// Something would be found by who loads the model, and cannot be looked into before.
    #[error("{path:?} is nothing that can be looked into before the model is loaded")]
    Unseen {
        /// Where in the model: a link to a directory, what no file of a tree is called, or one file too many.
        path: PathBuf,
    },
}

/// Looks at files by name and size: each directory that has unsafe weights needs safe ones too (rules 11.1, 11.3).
///
/// # Errors
/// [`FormatError::Unsafe`] with the largest such file of the directories that have none.
pub fn check_names<'a>(files: impl IntoIterator<Item = (&'a RepoPath, u64)>) -> Result<(), FormatError> {
    #[derive(Default)]
    struct Component<'a> {
        safe: bool,
        largest: Option<(u64, &'a RepoPath)>,
    }
    let mut components: BTreeMap<&str, Component<'_>> = BTreeMap::new();
    for (path, size_bytes) in files {
        let dir = path.as_str().rsplit_once('/').map_or("", |(dir, _)| dir);
        let name = path.file_name().to_ascii_lowercase();
        let component = components.entry(dir).or_default();
        component.safe |= name.ends_with(SAFE);
        if UNSAFE.iter().any(|suffix| name.ends_with(suffix)) {
            component.largest = component.largest.max(Some((size_bytes, path)));
        }
    }
    let refused =
        components.into_values().filter(|component| !component.safe).filter_map(|component| component.largest);
    refused.max().map_or(Ok(()), |(_, file)| Err(FormatError::Unsafe { file: file.clone() }))
}

/// Looks into the safetensors files of `dir`, which has `files`.
///
/// # Errors
/// When one cannot be read. A broken one is the inner error.
pub fn check_headers<'a>(
    dir: &Path,
    files: impl IntoIterator<Item = &'a RepoPath>,
) -> io::Result<Result<(), FormatError>> {
    check_headers_at(files, |file| Ok(dir.join(file.as_str())))
}

/// As [`check_headers`] of a directory that may have links in the place of its files: peers put trees together so where they
/// cannot give a file a second name (rule 6.15).
pub(crate) fn check_linked_headers<'a>(
    dir: &Path,
    files: impl IntoIterator<Item = &'a RepoPath>,
) -> io::Result<Result<(), FormatError>> {
    check_headers_at(files, |file| fs::canonicalize(dir.join(file.as_str())))
}

fn check_headers_at<'a>(
    files: impl IntoIterator<Item = &'a RepoPath>,
    at: impl Fn(&RepoPath) -> io::Result<PathBuf>,
) -> io::Result<Result<(), FormatError>> {
    for file in files {
        if file.file_name().to_ascii_lowercase().ends_with(SAFE)
            && let Err(source) = check_safetensors(&at(file)?)?
        {
            return Ok(Err(FormatError::Broken { file: file.clone(), source }));
        }
    }
    Ok(Ok(()))
}

#[cfg(test)]
mod tests;
