//! Whether a function fits this machine, and what it asks for.

use gen_worker_core::{
    endpoint::Resources,
    memory_ladder::{Fit, VariantNeeds, VariantSupply},
};
use serde_json::{Map, Value};

use super::Detected;

/// Only the members that are not at their default.
pub(super) fn resources(resources: &Resources) -> Map<String, Value> {
    let mut map = Map::new();
    if resources.gpu() {
        map.insert("gpu".to_owned(), true.into());
    }
    let numbers = [("vram_gb", resources.vram_gb()), ("compute_capability", resources.compute_capability())];
    for (key, number) in numbers {
        if let Some(number) = number {
            map.insert(key.to_owned(), number.into());
        }
    }
    if !resources.libraries().is_empty() {
        map.insert("libraries".to_owned(), resources.libraries().into());
    }
    if let Some(limit) = resources.max_concurrency() {
        map.insert("max_concurrency".to_owned(), limit.get().into());
    }
    map
}

/// The verdict (model contract, 10.6), with a reason when there is something to say.
pub(super) fn fit(resources: &Resources, detected: &Detected) -> (&'static str, String) {
    let missing = resources.libraries().iter().find(|library| !detected.installed_libs.contains(library));
    if !resources.gpu() {
        let lacks = |library| ("incompatible", format!("needs {library}"));
        return missing.map_or(("fits", String::new()), lacks);
    }
    let needs = VariantNeeds {
        vram_gb: resources.vram_gb(),
        sm_min: sm(resources.compute_capability().unwrap_or(0.0)),
        libraries: resources.libraries().to_vec(),
        is_base: true,
    };
    let supply = VariantSupply {
        sm: detected.report.gpu_sm,
        free_vram_gb: detected.free_vram_gb,
        libraries: detected.installed_libs.clone(),
        emergency_allowed: detected.emergency_allowed,
    };
    let short = || {
        let (needed, free) = (resources.vram_gb().unwrap_or(0.0), detected.free_vram_gb);
        format!("needs {needed} GiB of accelerator memory, {free:.2} are free")
    };
    match (needs.fit(&supply), missing) {
        (Fit::Fits, _) => ("fits", String::new()),
        (Fit::Emergency, _) => ("emergency_quant", short()),
        (Fit::Offload, _) => ("offload", short()),
        (Fit::Incompatible, _) if supply.sm == 0 => ("incompatible", "needs an accelerator, none was found".to_owned()),
        (Fit::Incompatible, Some(library)) if supply.sm >= needs.sm_min => ("incompatible", format!("needs {library}")),
        (Fit::Incompatible, _) => {
            let needed = resources.compute_capability().unwrap_or(0.0);
            ("incompatible", format!("needs compute capability {needed}"))
        }
    }
}

/// A capability as its two digits joined.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "checked to be positive, and beyond the largest number it is that"
)]
fn sm(capability: f64) -> u32 {
    (capability * 10.0).round() as u32
}
