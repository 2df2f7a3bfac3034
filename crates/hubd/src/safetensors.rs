//! Which types the header of a safetensors file names (Hub contract, 6.20). Pure.

use std::{collections::BTreeMap, fmt};

use gen_worker_hub::RepoPath;
use serde::{
    Deserialize, Deserializer,
    de::{Error as _, IgnoredAny, MapAccess, Visitor},
};

use crate::metadata::Dtypes;

/// Bytes in front of the header, which say how long it is.
pub(crate) const LENGTH_BYTES: u64 = 8;

/// Largest header that is read. Those of the largest models have some megabytes; the format allows 100 MiB, which would be more
/// than all else the hub holds at once.
const HEADER_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// The key of a header that is no tensor.
const METADATA: &str = "__metadata__";

/// Kinds of tensors in one file: the format has some twenty.
const DTYPES_MAX: usize = 64;

/// Whether a file says that it is one.
pub(crate) fn is_named(path: &RepoPath) -> bool {
    path.as_str().to_ascii_lowercase().ends_with(".safetensors")
}

/// Where the header of a file of `size_bytes` ends, which begins with `length`. None when it cannot be one, or is too large.
pub(crate) fn header_end(length: [u8; 8], size_bytes: u64) -> Option<u64> {
    let header = Some(u64::from_le_bytes(length)).filter(|bytes| (1..=HEADER_BYTES_MAX).contains(bytes))?;
    LENGTH_BYTES.checked_add(header).filter(|end| *end <= size_bytes)
}

/// The types of a header; none when it is not a table of tensors.
pub(crate) fn dtypes(header: &[u8]) -> Dtypes {
    serde_json::from_slice::<Header>(header).map(|header| header.0).unwrap_or_default()
}

/// The type that most tensors have, in the words of flavors; among several the first by name.
pub(crate) fn prevalent(dtypes: &Dtypes) -> Option<String> {
    let most = dtypes.values().max()?;
    let (name, _) = dtypes.iter().find(|(_, tensors)| *tensors == most)?;
    Some(match name.as_str() {
        "BF16" => "bf16".to_owned(),
        "F16" => "fp16".to_owned(),
        "F32" => "fp32".to_owned(),
        "F64" => "fp64".to_owned(),
        "F8_E4M3" | "F8_E5M2" => "fp8".to_owned(),
        other => other.to_ascii_lowercase(),
    })
}

struct Header(Dtypes);

#[derive(Deserialize)]
struct Tensor {
    dtype: Dtype,
}

/// A name of a type, as short as they all are.
struct Dtype(String);

impl<'de> Deserialize<'de> for Dtype {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = String::deserialize(deserializer)?;
        let is_word = (1..=16).contains(&name.len())
            && name.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_');
        if is_word { Ok(Self(name)) } else { Err(D::Error::custom("no type")) }
    }
}

impl<'de> Deserialize<'de> for Header {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Tensors;
        impl<'de> Visitor<'de> for Tensors {
            type Value = Header;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a table of tensors")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Header, A::Error> {
                let mut dtypes: Dtypes = BTreeMap::new();
                while let Some(name) = map.next_key::<String>()? {
                    if name == METADATA {
                        map.next_value::<IgnoredAny>()?;
                        continue;
                    }
                    let Tensor { dtype: Dtype(dtype) } = map.next_value()?;
                    *dtypes.entry(dtype).or_default() += 1;
                    if dtypes.len() > DTYPES_MAX {
                        return Err(A::Error::custom("too many types"));
                    }
                }
                Ok(Header(dtypes))
            }
        }
        deserializer.deserialize_map(Tensors)
    }
}

#[cfg(test)]
mod tests;
