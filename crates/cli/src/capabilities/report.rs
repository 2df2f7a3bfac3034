//! What this machine says of its accelerators and of the libraries that speed them up (model contract, 10.11). Values only.

use std::path::PathBuf;

use gen_worker_core::gpu::Gpu;

use super::{has_library, version_of};

/// Libraries that are reported wherever there is CUDA, each with the shared object it is known by.
const KNOWN: [(&str, &str); 4] = [
    ("bitsandbytes", "bitsandbytes"),
    ("tensorrt", "nvinfer"),
    ("torchao", "torchao"),
    ("transformer_engine", "transformer_engine"),
];

/// Zeros and empties without CUDA.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct CapabilityReport {
    /// What the driver takes, as `12.8`.
    pub(crate) cuda_version: String,
    /// Of the first accelerator: major times ten, and minor.
    pub(crate) gpu_sm: u32,
    /// There is no PyTorch in this worker.
    pub(crate) torch_version: &'static str,
    /// Names, sorted; TensorRT also with its version.
    pub(crate) installed_libs: Vec<String>,
}

impl CapabilityReport {
    /// Of a machine with these accelerators, this version of CUDA, and shared objects in these directories.
    pub(crate) fn of(gpus: &[Gpu], cuda: Option<(u32, u32)>, libraries: &[PathBuf]) -> Self {
        let Some(first) = gpus.first() else { return Self::default() };
        let mut installed = Vec::new();
        for (name, object) in KNOWN {
            if has_library(libraries, object) {
                installed.push(name.to_owned());
                // Engines are built for one version of it.
                let version = version_of(libraries, object).filter(|_| name == "tensorrt");
                installed.extend(version.map(|version| format!("{name}=={version}")));
            }
        }
        Self {
            cuda_version: cuda.map(|(major, minor)| format!("{major}.{minor}")).unwrap_or_default(),
            gpu_sm: first.sm(),
            torch_version: "",
            installed_libs: installed,
        }
    }
}

#[cfg(test)]
mod tests {
    //! With and without CUDA.
    use super::*;

    #[test]
    fn m10_11_zeros_and_empties_without_cuda_and_sorted_libraries_with_it() {
        let dir = tempfile::tempdir().unwrap();
        for file in ["libtorchao.so", "libnvinfer.so.10.3.0", "libnvinfer.so.10", "libbitsandbytes.so.0", "libother.so"]
        {
            std::fs::write(dir.path().join(file), b"").unwrap();
        }
        let libraries = [dir.path().to_owned()];
        assert_eq!(CapabilityReport::of(&[], Some((12, 8)), &libraries), CapabilityReport::default());
        let card = |major, minor| Gpu { name: "card".into(), capability: (major, minor), total_bytes: 1 };
        let report = CapabilityReport::of(&[card(9, 0), card(8, 9)], Some((12, 8)), &libraries);
        assert_eq!((report.cuda_version.as_str(), report.gpu_sm, report.torch_version), ("12.8", 90, ""));
        assert_eq!(report.installed_libs, ["bitsandbytes", "tensorrt", "tensorrt==10.3.0", "torchao"]);
        assert!(report.installed_libs.is_sorted());
        let bare = CapabilityReport::of(&[card(8, 9)], None, &[]);
        assert_eq!((bare.cuda_version.as_str(), bare.gpu_sm, bare.installed_libs.len()), ("", 89, 0));
    }
}
