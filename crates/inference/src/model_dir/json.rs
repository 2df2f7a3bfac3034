//! Bounded reading of the small JSON files, and what can be wrong with them.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use thiserror::Error;

/// Largest configuration file read, in bytes. Real ones have a few kilobytes.
const CONFIG_SIZE_BYTES_MAX: u64 = 1 << 20;

/// Why a model directory's configuration was refused.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// The model directory does not exist or is something else.
    #[error("model directory {} is not a directory", path.display())]
    NotADirectory {
        /// The path given.
        path: PathBuf,
    },
    /// A file that every model has is not there.
    #[error("model file {} is missing", path.display())]
    MissingFile {
        /// The file expected.
        path: PathBuf,
    },
    /// A file cannot be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A file is larger than any of its kind.
    #[error("{} has more than {size_bytes_max} bytes", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// The limit.
        size_bytes_max: u64,
    },
    /// A file is not the JSON expected.
    #[error("{} is not a valid configuration", path.display())]
    Json {
        /// The file.
        path: PathBuf,
        /// Where and what.
        source: serde_json::Error,
    },
    /// A value is not supported, contradicts another, or is out of bounds.
    #[error("{field} is {found} in {}, expected {expected}", path.display())]
    Value {
        /// The file.
        path: PathBuf,
        /// The field in it.
        field: &'static str,
        /// What it says.
        found: String,
        /// What it may say.
        expected: String,
    },
}

/// Reads a JSON file; `None` when it does not exist.
pub(super) fn read_optional<T: DeserializeOwned>(path: &Path) -> Result<Option<T>, ConfigError> {
    let Some(bytes) = read_bounded(path, CONFIG_SIZE_BYTES_MAX)? else { return Ok(None) };
    serde_json::from_slice(&bytes).map(Some).map_err(|source| ConfigError::Json { path: path.to_owned(), source })
}

/// Reads a JSON file that has to exist.
pub(super) fn read_required<T: DeserializeOwned>(path: &Path) -> Result<T, ConfigError> {
    read_optional(path)?.ok_or_else(|| ConfigError::MissingFile { path: path.to_owned() })
}

/// Reads at most `size_bytes_max` bytes; `None` when the file does not exist.
fn read_bounded(path: &Path, size_bytes_max: u64) -> Result<Option<Vec<u8>>, ConfigError> {
    let failed = |source| ConfigError::Read { path: path.to_owned(), source };
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(error)),
    };
    let mut bytes = Vec::new();
    file.take(size_bytes_max + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > size_bytes_max {
        return Err(ConfigError::TooLarge { path: path.to_owned(), size_bytes_max });
    }
    Ok(Some(bytes))
}
