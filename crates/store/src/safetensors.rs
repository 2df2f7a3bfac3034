//! Whether a safetensors file is whole, by its header alone (rule 6.24). Owns no state; blocks.

mod dtypes;
mod names;

use std::{
    collections::BTreeMap,
    io::{self, Read as _},
    path::Path,
};

use serde::{
    Deserialize,
    de::{IgnoredAny, MapAccess, Visitor},
};

use crate::durable;

pub use dtypes::tensor_dtypes;
pub use names::{header_metadata, tensor_names};

/// Largest header: what the format's own library takes.
pub(crate) const HEADER_BYTES_MAX: u64 = 100 * 1024 * 1024;

/// The length of the header is written in front of it.
pub(crate) const LENGTH_BYTES: u64 = 8;

/// The key of a header that is no tensor.
pub(crate) const METADATA: &str = "__metadata__";

/// What is wrong with a file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HeaderError {
    /// Shorter than its own header.
    #[error("file ends within its header")]
    Short,
    /// No header, or one that is larger than any.
    #[error("header has {0} bytes, 1 to {HEADER_BYTES_MAX} are allowed")]
    Length(u64),
    /// Not an object of tensors with two numbers each.
    #[error("header is not a table of tensors")]
    Json,
    /// A tensor ends before it begins.
    #[error("tensor {0} ends before it begins")]
    Backwards(String),
    /// Two tensors share bytes.
    #[error("tensors {0} and {1} overlap")]
    Overlap(String, String),
    /// A tensor lies behind the end of the file.
    #[error("tensor {0} ends behind the file")]
    Beyond(String),
}

/// The tensors of a header by name; a name that is there twice is an error.
struct Header(BTreeMap<String, (u64, u64)>);

#[derive(Deserialize)]
struct Tensor {
    data_offsets: (u64, u64),
}

/// Checks the file at `path`.
///
/// # Errors
/// When it cannot be read. A file that can be read and is broken is the inner error.
pub fn check_safetensors(path: &Path) -> io::Result<Result<(), HeaderError>> {
    read_header(path).map(|read| read.map(|_| ()))
}

/// The header of the file at `path`, which fits to the file.
///
/// # Errors
/// As of [`check_safetensors`].
pub(crate) fn read_header(path: &Path) -> io::Result<Result<Vec<u8>, HeaderError>> {
    let Some(mut file) = durable::reader(path)? else { return Err(io::ErrorKind::NotFound.into()) };
    let size = file.metadata()?.len();
    let mut length = [0; 8];
    match file.read_exact(&mut length) {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(Err(HeaderError::Short)),
        read => read?,
    }
    let length = u64::from_le_bytes(length);
    if length == 0 || length > HEADER_BYTES_MAX {
        return Ok(Err(HeaderError::Length(length)));
    }
    let Some(data_bytes) = size.checked_sub(LENGTH_BYTES + length) else { return Ok(Err(HeaderError::Short)) };
    // The file has these bytes, so a lie about the length costs no memory.
    let mut header = Vec::new();
    file.take(length).read_to_end(&mut header)?;
    Ok(check_header(&header, data_bytes).map(|()| header))
}

/// Checks a header with `data_bytes` behind it.
///
/// # Errors
/// See [`HeaderError`].
pub fn check_header(header: &[u8], data_bytes: u64) -> Result<(), HeaderError> {
    let Header(tensors) = serde_json::from_slice(header).map_err(|_| HeaderError::Json)?;
    let mut ranges: Vec<_> = tensors.into_iter().map(|(name, (begin, end))| (begin, end, name)).collect();
    ranges.sort_unstable();
    let mut before: Option<(u64, String)> = None;
    for (begin, end, name) in ranges {
        if end < begin {
            return Err(HeaderError::Backwards(name));
        }
        if end > data_bytes {
            return Err(HeaderError::Beyond(name));
        }
        match before {
            Some((last, other)) if begin < last => return Err(HeaderError::Overlap(other, name)),
            _ => before = Some((end, name)),
        }
    }
    Ok(())
}

impl<'de> Deserialize<'de> for Header {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Tensors;
        impl<'de> Visitor<'de> for Tensors {
            type Value = Header;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a table of tensors")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Header, A::Error> {
                let mut tensors = BTreeMap::new();
                while let Some(name) = map.next_key::<String>()? {
                    if name == METADATA {
                        map.next_value::<IgnoredAny>()?;
                        continue;
                    }
                    let tensor: Tensor = map.next_value()?;
                    if tensors.insert(name, tensor.data_offsets).is_some() {
                        return Err(serde::de::Error::custom("a tensor is named twice"));
                    }
                }
                Ok(Header(tensors))
            }
        }
        deserializer.deserialize_map(Tensors)
    }
}

#[cfg(test)]
mod tests;
