//! Whether a function fits this machine, and what it asks for.

use gen_worker_core::endpoint::Resources;
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

/// The verdict, with a reason when there is something to say.
pub(super) fn fit(resources: &Resources, detected: &Detected) -> (&'static str, String) {
    if resources.gpu() && detected.gpu_sm == 0 {
        return ("incompatible", "needs an accelerator, none was found".to_owned());
    }
    if let Some(needed) = resources.compute_capability().filter(|needed| f64::from(detected.gpu_sm) < needed * 10.0) {
        return ("incompatible", format!("needs compute capability {needed}"));
    }
    let missing = resources.libraries().iter().find(|library| !detected.installed_libs.contains(library));
    if let Some(library) = missing {
        return ("incompatible", format!("needs {library}"));
    }
    match resources.vram_gb() {
        Some(needed) if needed > detected.free_vram_gb => {
            ("offload", format!("needs {needed} GiB of accelerator memory, {:.2} are free", detected.free_vram_gb))
        }
        _ => ("fits", String::new()),
    }
}
