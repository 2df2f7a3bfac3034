//! The description document: what an endpoint binary offers, without loading or downloading anything.

mod fit;
mod schema;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;

use gen_worker_core::{
    Binding, Function, Registry,
    binding::Provider,
    endpoint::{Isolation, Kind},
    gpu::{CudaDriver, GpuProbe as _},
};
use serde_json::{Map, Value, json};

pub(crate) use schema::inlined;

use crate::{
    capabilities::{self, CapabilityReport},
    env::{Environment, names},
    exit::Failure,
};

/// Version of every machine-readable surface.
const PROTOCOL_VERSION: u32 = 1;

/// Level of the peer's contract that we implement; hosts compare it.
const CONTRACT_LEVEL: &str = "0.11.2";

/// Tokens of the features that work in this build, in the contract's order.
const CAPABILITIES: [&str; 3] = ["describe", "prefetch", "hub_resolve"];

/// What this machine has, as far as listings say.
#[derive(Debug, Default)]
pub(crate) struct Detected {
    report: CapabilityReport,
    installed_libs: Vec<String>,
    free_vram_gb: f64,
    emergency_allowed: bool,
}

impl Detected {
    /// What is here for the functions of `registry`.
    ///
    /// # Errors
    /// A variable that is not text.
    pub(crate) fn here(registry: &Registry, env: &Environment) -> Result<Self, Failure> {
        let driver = CudaDriver::default();
        let report = capabilities::report(&driver, env);
        let total = driver.gpus().first().map_or(0, |gpu| gpu.total_bytes);
        // A device that this process never used cannot be asked: it has what it has.
        let free = driver.free_bytes().first().copied().flatten().unwrap_or(total);
        Ok(Self {
            installed_libs: capabilities::present(registry, &report, env),
            report,
            free_vram_gb: (free as f64 / BYTES_PER_GIB * 100.0).round() / 100.0,
            emergency_allowed: env.switch(&names::GEN_WORKER_EMERGENCY_QUANT)?,
        })
    }
}

/// A gibibyte.
const BYTES_PER_GIB: f64 = (1_u64 << 30) as f64;

/// Builds the document of `registry`; `main` is the name of the endpoint binary.
pub(crate) fn document(registry: &Registry, main: &str, detected: &Detected) -> Value {
    let functions = registry.functions();
    let classes: BTreeSet<&str> = functions.iter().filter_map(|function| function.type_name()).collect();
    json!({
        "protocol_version": PROTOCOL_VERSION,
        "gen_worker_version": CONTRACT_LEVEL,
        "implementation": {"name": "gen-worker", "version": env!("CARGO_PKG_VERSION")},
        "capabilities": CAPABILITIES,
        "detected": {
            "cuda_version": detected.report.cuda_version,
            "gpu_sm": detected.report.gpu_sm,
            "torch_version": detected.report.torch_version,
            "installed_libs": detected.installed_libs,
            "free_vram_gb": detected.free_vram_gb,
        },
        "endpoint": {"main_module": main, "kind": kinds(functions.iter().map(|function| function.kind())), "classes": classes},
        "functions": functions.iter().map(|function| entry(function, detected)).collect::<Vec<_>>(),
    })
}

/// One kind when all functions share it, else the sorted list.
fn kinds(kinds: impl Iterator<Item = Kind>) -> Value {
    let names: BTreeSet<&str> = kinds.map(Kind::as_str).collect();
    match names.first() {
        Some(only) if names.len() == 1 => json!(only),
        _ => json!(names),
    }
}

fn entry(function: &Function, detected: &Detected) -> Value {
    let class = function.type_name();
    let models: Map<String, Value> =
        function.slots().iter().map(|(slot, binding)| (slot.clone(), model(binding))).collect();
    let mut entry = json!({
        "name": function.name().as_str(),
        "class": class,
        "method": class.map(|_| function.method()),
        "kind": function.kind().as_str(),
        "is_generator": function.is_streaming(),
        "input_schema": inlined((function.payload().schema)()),
        "output": function.output().name(),
        // Not in the peer: what the pool shows of a function.
        "output_schema": inlined((function.output().schema)()),
        "models": models,
    });
    let (fit, reason) = fit::fit(function.resources(), detected);
    let mut add = |key: &str, value: Value| {
        entry.as_object_mut().expect("it was written as an object").insert(key.to_owned(), value);
    };
    let resources = fit::resources(function.resources());
    if !resources.is_empty() {
        add("resources", resources.into());
    }
    if function.isolation() == Isolation::Process {
        // Not in the peer, which has no such thing.
        add("isolation", function.isolation().as_str().into());
    }
    add("fit", fit.into());
    if !reason.is_empty() {
        add("fit_reason", reason.into());
    }
    entry
}

/// A binding with only what is not empty; a Hub binding always has its tag.
fn model(binding: &Binding) -> Value {
    let provider = binding.provider();
    let mut model = json!({"type": provider.type_name(), "provider": provider.as_str(), "ref": binding.reference()});
    let object = model.as_object_mut().expect("it was written as an object");
    let texts = [
        ("tag", binding.tag()),
        ("flavor", binding.flavor()),
        ("revision", binding.revision()),
        ("dtype", binding.dtype()),
        ("subfolder", binding.subfolder()),
        ("version", binding.version()),
        ("storage_dtype", binding.storage_dtype()),
    ];
    for (key, text) in texts {
        if !text.is_empty() || (key == "tag" && provider == Provider::Hub) {
            object.insert(key.to_owned(), text.into());
        }
    }
    if binding.allows_lora() {
        object.insert("allow_lora".to_owned(), true.into());
    }
    if !binding.files().is_empty() {
        object.insert("files".to_owned(), binding.files().into());
    }
    model
}
