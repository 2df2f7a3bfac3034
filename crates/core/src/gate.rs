//! Whether a function can run on this machine at all: the wire contract, 12.3, and endpoint rule E-31, as one pure
//! decision.

use std::collections::BTreeMap;

use gen_worker_proto::pb;

use crate::{availability::Unavailable, endpoint::Resources};

/// A gibibyte.
const GIB: f64 = (1_u64 << 30) as f64;

/// Why a function that needs `resources` cannot run on `machine`; nothing if it can. `first_vram_bytes` is the memory
/// of its first accelerator: a model is loaded on one.
pub(crate) fn gate(resources: &Resources, machine: &pb::WorkerResources, first_vram_bytes: u64) -> Option<Unavailable> {
    if resources.gpu() && machine.gpu_count == 0 {
        let axes = [("gpu_count", "0".to_owned())];
        return Some(unavailable("cuda_unavailable", "needs an accelerator, none was found", axes));
    }
    if let Some(required) = resources.compute_capability() {
        let detected = machine.gpu_sm.parse::<f64>().unwrap_or(0.0) / 10.0;
        if detected + f64::EPSILON < required {
            let detail = format!("needs compute capability {required:.1}, found {detected:.1}");
            let axes = [("detected_sm", format!("{detected:.1}")), ("required_sm", format!("{required:.1}"))];
            return Some(unavailable("compute_capability_unmet", &detail, axes));
        }
    }
    if let Some(required) = resources.vram_gb() {
        // Cards have a little less than they are sold with.
        let detected = (first_vram_bytes as f64 / GIB).round();
        if detected < required {
            let detail = format!("needs {required} GiB of accelerator memory, found {detected}");
            let axes = [("required_vram_gb", required.to_string()), ("detected_vram_gb", detected.to_string())];
            return Some(unavailable("insufficient_vram", &detail, axes));
        }
    }
    let missing: Vec<_> = resources
        .libraries()
        .iter()
        .filter(|library| !machine.installed_libs.contains(library))
        .map(String::as_str)
        .collect();
    if missing.is_empty() {
        return None;
    }
    let missing = missing.join(",");
    Some(unavailable("missing_cuda_library", &format!("needs {missing}"), [("missing", missing.clone())]))
}

fn unavailable<const N: usize>(reason: &str, detail: &str, axes: [(&str, String); N]) -> Unavailable {
    let axes: BTreeMap<_, _> = axes.into_iter().map(|(key, value)| (key.to_owned(), value)).collect();
    Unavailable { reason: reason.to_owned(), detail: detail.to_owned(), axes, permanent: true }
}

#[cfg(test)]
mod tests {
    //! Every reason with its axes.
    use super::*;
    use crate::endpoint::ResourcesDecl;

    fn machine(gpus: i32, sm: &str) -> pb::WorkerResources {
        let installed_libs = vec!["cuda".to_owned()];
        pb::WorkerResources { gpu_count: gpus, gpu_sm: sm.into(), installed_libs, ..Default::default() }
    }

    fn verdict(
        decl: ResourcesDecl,
        machine: &pb::WorkerResources,
        gib: f64,
    ) -> Option<(String, Vec<(String, String)>)> {
        let resources = decl.check().expect("a good declaration");
        let why = gate(&resources, machine, (gib * GIB) as u64)?;
        Some((why.reason, why.axes.into_iter().collect()))
    }

    fn pair(key: &str, value: &str) -> (String, String) {
        (key.into(), value.into())
    }

    #[test]
    fn e31_a_gate_names_what_is_missing() {
        let gpu = ResourcesDecl { gpu: true, ..Default::default() };
        let sm = ResourcesDecl { compute_capability: Some(8.9), ..Default::default() };
        let vram = ResourcesDecl { vram_gb: Some(24.0), ..Default::default() };
        let library = ResourcesDecl { libraries: vec!["cuda".into(), "flash".into()], ..Default::default() };
        let none = machine(0, "");
        let want = Some(("cuda_unavailable".into(), vec![pair("gpu_count", "0")]));
        assert_eq!(verdict(gpu.clone(), &none, 0.0), want);
        assert_eq!(verdict(gpu, &machine(1, "75"), 8.0), None);
        let want = vec![pair("detected_sm", "8.6"), pair("required_sm", "8.9")];
        assert_eq!(verdict(sm.clone(), &machine(1, "86"), 8.0), Some(("compute_capability_unmet".into(), want)));
        assert_eq!(verdict(sm, &machine(1, "89"), 8.0), None);
        assert_eq!(verdict(vram.clone(), &machine(1, "89"), 23.99), None, "rounded");
        let want = vec![pair("detected_vram_gb", "16"), pair("required_vram_gb", "24")];
        assert_eq!(verdict(vram, &machine(1, "89"), 15.9), Some(("insufficient_vram".into(), want)));
        let want = Some(("missing_cuda_library".into(), vec![pair("missing", "flash")]));
        assert_eq!(verdict(library, &none, 0.0), want, "E-33: an unknown token is a missing library");
    }

    #[test]
    fn m10_5_memory_is_compared_with_all_there_is_to_the_nearest_gibibyte() {
        let needs = |gib| ResourcesDecl { vram_gb: Some(gib), ..Default::default() };
        let passes = |needed, there| verdict(needs(needed), &machine(1, "89"), there).is_none();
        assert_eq!([passes(24.0, 23.99), passes(24.0, 23.5), passes(24.0, 23.49)], [true, true, false]);
        assert_eq!([passes(24.5, 24.4), passes(24.5, 24.5)], [false, true]);
        let why = gate(&needs(48.0).check().expect("sound"), &machine(2, "89"), 24 << 30).expect("one has 24 GiB");
        assert_eq!(why.axes["detected_vram_gb"], "24", "a model is loaded on one, however many there are");
    }

    #[test]
    fn e31_a_function_that_needs_nothing_runs_anywhere() {
        assert_eq!(verdict(ResourcesDecl::default(), &machine(0, ""), 0.0), None);
    }
}
