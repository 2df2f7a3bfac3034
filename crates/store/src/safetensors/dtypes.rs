//! Of which types the tensors of a file are, by its header alone (rule 10.8). Owns no state; blocks.

use std::{collections::BTreeMap, fmt, io, path::Path};

use serde::{
    Deserialize,
    de::{IgnoredAny, MapAccess, Visitor},
};

use super::{HeaderError, METADATA, read_header};

/// How many tensors of each type there are, by the names of the format (`BF16`, `F8_E4M3`, ..).
struct Counts(BTreeMap<String, u64>);

#[derive(Deserialize)]
struct Typed {
    dtype: String,
}

/// How many tensors of each type the file at `path` has, by the names of the format. Only sound files are counted.
///
/// # Errors
/// When it cannot be read. A file that can be read and is broken is the inner error.
pub fn tensor_dtypes(path: &Path) -> io::Result<Result<BTreeMap<String, u64>, HeaderError>> {
    Ok(read_header(path)?.and_then(|header| {
        let Counts(counts) = serde_json::from_slice(&header).map_err(|_| HeaderError::Json)?;
        Ok(counts)
    }))
}

impl<'de> Deserialize<'de> for Counts {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Tensors;
        impl<'de> Visitor<'de> for Tensors {
            type Value = Counts;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a table of tensors")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Counts, A::Error> {
                let mut counts = BTreeMap::new();
                while let Some(name) = map.next_key::<String>()? {
                    if name == METADATA {
                        map.next_value::<IgnoredAny>()?;
                        continue;
                    }
                    let tensor: Typed = map.next_value()?;
                    *counts.entry(tensor.dtype).or_default() += 1;
                }
                Ok(Counts(counts))
            }
        }
        deserializer.deserialize_map(Tensors)
    }
}

#[cfg(test)]
mod tests;
