//! How the tensors of a file are called, and what else its header says. Owns no state; blocks.

use std::{collections::BTreeMap, io, path::Path};

use serde::{Deserialize, de::IgnoredAny};

use super::{HeaderError, METADATA, read_header};

/// The names of the tensors of the file at `path`, sorted. Only sound files have any.
///
/// # Errors
/// When it cannot be read. A file that can be read and is broken is the inner error.
pub fn tensor_names(path: &Path) -> io::Result<Result<Vec<String>, HeaderError>> {
    Ok(read_header(path)?.and_then(|header| {
        let tensors: BTreeMap<String, IgnoredAny> = serde_json::from_slice(&header).map_err(|_| HeaderError::Json)?;
        Ok(tensors.into_keys().filter(|name| name != METADATA).collect())
    }))
}

/// What the makers of the file at `path` wrote into it besides tensors. Anything but text by name is left out.
///
/// # Errors
/// As of [`tensor_names`].
pub fn header_metadata(path: &Path) -> io::Result<Result<BTreeMap<String, String>, HeaderError>> {
    #[derive(Deserialize)]
    struct Header {
        #[serde(default, rename = "__metadata__")]
        metadata: BTreeMap<String, serde_json::Value>,
    }
    Ok(read_header(path)?.and_then(|header| {
        let Header { metadata } = serde_json::from_slice(&header).map_err(|_| HeaderError::Json)?;
        let text = |(name, value): (String, serde_json::Value)| Some((name, value.as_str()?.to_owned()));
        Ok(metadata.into_iter().filter_map(text).collect())
    }))
}
