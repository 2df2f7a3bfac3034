//! Adapters that are laid over a model for one request: their bounds, which of them stay attached between requests, and
//! what was read of them. Decides and remembers; whoever holds the pipeline attaches.

mod attach;
mod dispatch;
mod parsed;

use std::path::PathBuf;

pub use attach::{AttachLimits, AttachPlan, Attached, attach_plan};
pub(crate) use dispatch::check_dispatch;
pub use parsed::ParsedLoras;

/// Most adapters of one request.
pub const LORAS_MAX: usize = 8;

/// Largest weight, either way.
const WEIGHT_MAX: f64 = 4.0;

/// Largest file of an adapter: such as are larger are whole models.
const FILE_BYTES_MAX: u64 = 2 << 30;

/// Why adapters cannot be used.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum LoraError {
    /// Too many at once.
    #[error("{0} adapters in one request, {LORAS_MAX} are allowed")]
    TooMany(usize),
    /// A slot that there is not, or that takes none.
    #[error("slot {0:?} takes no adapters")]
    NoPlace(String),
    /// One without a ref.
    #[error("an adapter of slot {0:?} has no ref")]
    Unnamed(String),
    /// One that is named twice in a slot.
    #[error("adapter {0} is named twice in one slot")]
    Twice(String),
    /// A weight that no adapter can have.
    #[error("adapter {reference} has weight {weight}, which is not within {WEIGHT_MAX} of zero")]
    Weight {
        /// Ref of the adapter.
        reference: String,
        /// What was asked for.
        weight: f64,
    },
    /// Its files are something else.
    #[error("adapter {0} has no safetensors file")]
    NoFile(String),
    /// It is as large as a model.
    #[error("adapter {reference} has {bytes} bytes, {max} are allowed")]
    TooLarge {
        /// Ref of the adapter, or of the last of several.
        reference: String,
        /// What it takes, or all of them together.
        bytes: u64,
        /// Most that is allowed.
        max: u64,
    },
    /// A tensor that belongs to no adapter.
    #[error("adapter {reference} has a tensor {tensor:?} that is none of an adapter")]
    NotALora {
        /// Ref of the adapter.
        reference: String,
        /// The first such tensor.
        tensor: String,
    },
}

/// The weight that adapter `reference` is used with: 0 stands for 1.
///
/// # Errors
/// When it is not a number within the bounds.
pub fn effective_weight(reference: &str, weight: f64) -> Result<f64, LoraError> {
    if !weight.is_finite() || weight.abs() > WEIGHT_MAX {
        return Err(LoraError::Weight { reference: reference.to_owned(), weight });
    }
    Ok(if weight == 0.0 { 1.0 } else { weight })
}

/// The file of an adapter among those of its snapshot, each with its size: the largest in safetensors format; of the same
/// size the first by name.
///
/// # Errors
/// When there is none, or it is too large.
pub fn adapter_file(reference: &str, files: &[(PathBuf, u64)]) -> Result<PathBuf, LoraError> {
    let is_safetensors = |path: &PathBuf| path.extension().is_some_and(|suffix| suffix == "safetensors");
    let candidates = files.iter().filter(|(path, _)| is_safetensors(path));
    let largest = candidates.max_by(|(a, a_bytes), (b, b_bytes)| a_bytes.cmp(b_bytes).then_with(|| b.cmp(a)));
    let (path, bytes) = largest.ok_or_else(|| LoraError::NoFile(reference.to_owned()))?;
    if *bytes > FILE_BYTES_MAX {
        return Err(LoraError::TooLarge { reference: reference.to_owned(), bytes: *bytes, max: FILE_BYTES_MAX });
    }
    Ok(path.clone())
}

/// Checks that a file holds an adapter and nothing else, by the names of its tensors.
///
/// # Errors
/// Names the first tensor that is none of an adapter.
pub fn check_tensors<'a>(reference: &str, mut names: impl Iterator<Item = &'a str>) -> Result<(), LoraError> {
    let parts = ["lora_", ".lora.", "_lora", ".alpha", "dora_scale"];
    match names.find(|name| !parts.iter().any(|part| name.contains(part))) {
        Some(tensor) => {
            let tensor = tensor.chars().take(128).collect();
            Err(LoraError::NotALora { reference: reference.to_owned(), tensor })
        }
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests;
