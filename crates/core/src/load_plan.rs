//! How the model of each slot is to be loaded: what is decided about numbers and memory before a set-up begins. Reads the
//! headers of weights; owns nothing.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
};

use gen_worker_store::{header_metadata, tensor_dtypes};
use tracing::warn;

use crate::{
    Binding,
    bytes_on_disk::files,
    context::Device,
    instance::LoadOptions,
    lora_overlays::AttachLimits,
    memory::MemoryProbe,
    memory_ladder::{ComputeDtype, OffloadMode, QuantizationPlan, StorageWish, WeightStorage, storage},
    worker_error::{Result, WorkerError},
};

/// What an operator decided about every load.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LoadPolicy {
    /// Weights may be kept in 4 bits where nothing else fits.
    pub emergency_allowed: bool,
    /// Bounds on the adapters that stay attached to one model.
    pub adapters: AttachLimits,
}

/// On what terms one set-up loads.
#[derive(Clone, Default)]
pub(crate) struct LoadTerms {
    pub(crate) policy: LoadPolicy,
    /// Which parts stay on the accelerator.
    pub(crate) offload: OffloadMode,
    /// Free there before the set-up.
    pub(crate) free_bytes: u64,
    /// Tells what a load took, where somebody can.
    pub(crate) memory: Option<Arc<dyn MemoryProbe>>,
}

/// What the headers of a model's weights say.
#[derive(Debug, Default)]
struct Headers {
    /// Tensors by type.
    tensors: BTreeMap<String, u64>,
    bytes: u64,
    /// What else its makers wrote down; of several files the first by name counts.
    attributes: BTreeMap<String, String>,
    /// Some configuration already says how it is quantized.
    says_quantization: bool,
}

/// How the models in `dirs` are to be loaded to `device`, by slot. Blocks.
///
/// # Errors
/// When a binding names a type that there is not.
pub(crate) fn plan(
    bindings: &BTreeMap<String, Binding>,
    dirs: &BTreeMap<String, PathBuf>,
    device: Device,
    terms: &LoadTerms,
) -> Result<BTreeMap<String, LoadOptions>> {
    let planned = bindings.iter().filter_map(|(slot, binding)| Some((slot, binding, dirs.get(slot)?)));
    planned.map(|(slot, binding, dir)| Ok((slot.clone(), plan_one(binding, dir, device, terms)?))).collect()
}

fn plan_one(binding: &Binding, dir: &Path, device: Device, terms: &LoadTerms) -> Result<LoadOptions> {
    let headers = read(dir);
    let compute = ComputeDtype::choose(binding.dtype(), &headers.tensors)
        .map_err(|error| WorkerError::fatal("UnknownDtype", error.to_string()))?;
    let wish = StorageWish {
        fp8_wanted: binding.storage_dtype() == "fp8",
        compute,
        // A host that is short of memory swaps; an accelerator fails.
        emergency_allowed: terms.policy.emergency_allowed && device != Device::Cpu,
        header_bytes: headers.bytes,
        free_bytes: terms.free_bytes,
    };
    let storage = storage(wish, &headers.tensors);
    if storage == WeightStorage::Emergency4Bit {
        warn!(model = %binding.wire_ref(), "weights are quantized to 4 bits: nothing else fits, and answers get worse");
    }
    Ok(LoadOptions {
        device,
        offload: if device == Device::Cpu { OffloadMode::Off } else { terms.offload },
        compute,
        storage,
        adapters: binding.allows_lora().then_some(terms.policy.adapters),
        quantization: QuantizationPlan::of(&headers.attributes, headers.says_quantization),
    })
}

/// What the files of a model say; those that are broken or cannot be read are the loader's to complain about.
fn read(dir: &Path) -> Headers {
    let mut headers = Headers::default();
    for (path, _) in files(dir) {
        if path.extension().is_some_and(|suffix| suffix == "safetensors") {
            if let Ok(Ok(counts)) = tensor_dtypes(&path) {
                counts.into_iter().for_each(|(dtype, count)| *headers.tensors.entry(dtype).or_default() += count);
            }
            headers.bytes = headers.bytes.saturating_add(path.metadata().map_or(0, |file| file.len()));
            let metadata = header_metadata(&path).ok().and_then(|read| read.ok()).unwrap_or_default();
            for (key, value) in metadata {
                headers.attributes.entry(key).or_insert(value);
            }
        } else if path.file_name().is_some_and(|name| name == "config.json") {
            headers.says_quantization |= QuantizationPlan::stands_in(&path);
        }
    }
    headers
}

#[cfg(test)]
mod tests;
