//! In which type the weights of a model are kept and computed with.

use std::{collections::BTreeMap, str::FromStr};

use super::HEADROOM_BYTES;

/// How safetensors headers call the type whose upcast would take twice the memory.
const FP8: &str = "F8_E4M3";

/// The type a model computes in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ComputeDtype {
    /// 16 bits with the range of 32.
    Bf16,
    /// IEEE half.
    Fp16,
    /// IEEE single.
    Fp32,
}

/// How weights are kept in memory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum WeightStorage {
    /// As they are loaded.
    #[default]
    Plain,
    /// In 8 bits, upcast layer by layer to this type.
    Fp8(ComputeDtype),
    /// In 4 bits, because nothing else fits: worth a loud warning.
    Emergency4Bit,
}

/// What decides about the storage of one model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StorageWish {
    /// Its binding asks for 8 bits.
    pub fp8_wanted: bool,
    /// What it computes in; none = the library's default.
    pub compute: Option<ComputeDtype>,
    /// Somebody allowed 4 bits where nothing else fits.
    pub emergency_allowed: bool,
    /// Bytes of its tensors by the headers on disk.
    pub header_bytes: u64,
    /// Free accelerator memory.
    pub free_bytes: u64,
}

/// A name that is no type to compute in.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown dtype {0:?}: one of bf16, fp16, fp32")]
pub struct UnknownDtype(String);

impl ComputeDtype {
    /// What a model computes in whose binding says `declared` (empty = nothing) and whose tensors on disk are of these
    /// types, by count. None = nothing is passed on, and the library takes its default.
    ///
    /// # Errors
    /// When the binding names an unknown type.
    pub fn choose(declared: &str, tensors: &BTreeMap<String, u64>) -> Result<Option<Self>, UnknownDtype> {
        if !declared.is_empty() {
            return declared.parse().map(Some);
        }
        Ok(match majority_dtype(tensors) {
            Some("BF16" | FP8) => Some(Self::Bf16),
            Some("F16") => Some(Self::Fp16),
            _ => None,
        })
    }

    /// Which files of a repository in several types are meant; none where such files carry no mark.
    #[must_use]
    pub fn file_variant(self) -> Option<&'static str> {
        match self {
            Self::Bf16 => Some("bf16"),
            Self::Fp16 => Some("fp16"),
            Self::Fp32 => None,
        }
    }
}

/// The type of most tensors: of the same count, the first by name. None without tensors.
#[must_use]
pub fn majority_dtype(tensors: &BTreeMap<String, u64>) -> Option<&str> {
    let largest = tensors.values().copied().max().filter(|count| *count > 0)?;
    tensors.iter().find(|(_, count)| **count == largest).map(|(name, _)| name.as_str())
}

/// How the weights of a model with these tensors are kept.
#[must_use]
pub fn storage(wish: StorageWish, tensors: &BTreeMap<String, u64>) -> WeightStorage {
    let on_disk = majority_dtype(tensors) == Some(FP8);
    let fp8 = wish.fp8_wanted || on_disk;
    // What is cast while it is loaded takes half of what the headers say.
    let bytes = if fp8 && !on_disk { wish.header_bytes / 2 } else { wish.header_bytes };
    if wish.emergency_allowed && bytes > wish.free_bytes.saturating_sub(HEADROOM_BYTES) {
        return WeightStorage::Emergency4Bit;
    }
    if fp8 { WeightStorage::Fp8(wish.compute.unwrap_or(ComputeDtype::Bf16)) } else { WeightStorage::Plain }
}

impl FromStr for ComputeDtype {
    type Err = UnknownDtype;

    fn from_str(name: &str) -> Result<Self, UnknownDtype> {
        match name {
            "bf16" | "bfloat16" => Ok(Self::Bf16),
            "fp16" | "float16" => Ok(Self::Fp16),
            "fp32" | "float32" => Ok(Self::Fp32),
            _ => Err(UnknownDtype(name.chars().take(64).collect())),
        }
    }
}

#[cfg(test)]
mod tests;
