//! Why a repository is not taken. Values.

use gen_worker_hub::RepoPath;

/// Paths that are named in a refusal, at most.
const SEEN_MAX: usize = 32;

/// Formats that are not read, by their endings, in the order in which a repository is said to have nothing else.
const FORMATS: [(RefusalReason, &[&str]); 6] = [
    (RefusalReason::PickleOnly, &[".bin", ".pt", ".pth", ".ckpt", ".pickle", ".pkl"]),
    (RefusalReason::OnnxOnly, &[".onnx", ".onnx_data"]),
    (RefusalReason::TfOnly, &[".h5", ".pb", ".tflite"]),
    (RefusalReason::FlaxOnly, &[".msgpack"]),
    (RefusalReason::CoremlOnly, &[".mlmodel", ".mlpackage", ".mlmodelc"]),
    (RefusalReason::TensorrtOnly, &[".engine", ".plan"]),
];

/// Why a repository is not taken, and what was seen in it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the repository cannot be taken: {}", reason.as_str())]
pub struct Refusal {
    /// Why.
    pub reason: RefusalReason,
    /// Some of its files.
    pub seen: Vec<RepoPath>,
}

/// Why a repository is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RefusalReason {
    /// Loading it can run code.
    PickleOnly,
    /// Compiled for another runtime.
    OnnxOnly,
    /// Of another framework.
    TfOnly,
    /// Of another framework.
    FlaxOnly,
    /// Compiled for another runtime.
    CoremlOnly,
    /// Compiled for one accelerator.
    TensorrtOnly,
    /// Nothing says what it is.
    UnknownShape,
    /// More bytes than are taken.
    TooLarge,
    /// It says what it is, but has no weights that are read.
    MissingSafetensors,
    /// No GGUF file has the quantization that is wanted.
    GgufQuantNotFound,
    /// A set of shards has gaps.
    IncompleteShards,
}

impl RefusalReason {
    /// Its word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::PickleOnly => "pickle_only",
            Self::OnnxOnly => "onnx_only",
            Self::TfOnly => "tf_only",
            Self::FlaxOnly => "flax_only",
            Self::CoremlOnly => "coreml_only",
            Self::TensorrtOnly => "tensorrt_only",
            Self::UnknownShape => "unknown_shape",
            Self::TooLarge => "too_large",
            Self::MissingSafetensors => "missing_safetensors",
            Self::GgufQuantNotFound => "gguf_quant_not_found",
            Self::IncompleteShards => "incomplete_shards",
        }
    }
}

impl Refusal {
    pub(super) fn new<'a>(reason: RefusalReason, files: impl Iterator<Item = &'a RepoPath>) -> Self {
        Self { reason, seen: files.take(SEEN_MAX).cloned().collect() }
    }
}

/// Why `files` have no weights that are read: what they have instead, or else `otherwise`.
pub(super) fn without_weights<'a>(
    files: impl Iterator<Item = &'a RepoPath> + Clone,
    otherwise: RefusalReason,
) -> RefusalReason {
    let has = |suffixes: &[&str]| {
        // A package is a directory: its ending is in the middle of paths.
        let is = |path: &RepoPath| {
            let path = path.as_str().to_ascii_lowercase();
            path.split('/').any(|part| suffixes.iter().any(|suffix| part.ends_with(suffix)))
        };
        files.clone().any(is)
    };
    FORMATS.iter().find(|(_, suffixes)| has(suffixes)).map_or(otherwise, |(reason, _)| *reason)
}
