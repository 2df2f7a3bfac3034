//! What kind of model a repository holds, and which of its files a converter takes (model contract, 4c): a pure function of names,
//! sizes and the little that was read beforehand. What it decides is safe to read: safetensors and GGUF, never pickles.

mod gguf;
mod refusal;
mod weight_set;

use std::collections::{BTreeMap, BTreeSet};

use gen_worker_hub::RepoPath;
use serde_json::Value;

pub use refusal::{Refusal, RefusalReason};
use weight_set::{WeightSet, pick};

/// Largest selection in bytes.
const BYTES_MAX: u64 = 100 << 30;

/// A root with larger files is no adapter.
const ADAPTER_FILE_BYTES_MAX: u64 = 1 << 30;

/// Number formats, the best first.
const PREFERRED: [&str; 3] = ["bf16", "fp16", "fp32"];

/// Words on the card of an adapter.
const ADAPTER_TAGS: [&str; 5] = ["lora", "lycoris", "loha", "lokr", "adapter"];

/// Parts of the names of tensors that only adapters have.
const ADAPTER_TENSORS: [&str; 6] = ["lora_down", "lora_up", "lora_A", "lora_B", "hada_", "lokr_"];

/// What a trainer of adapters puts before the names of its settings.
const TRAINER_PREFIX: &str = "ss_";

/// Endings of what describes a model.
const SIDE_FILES: [&str; 6] = [".json", ".txt", ".model", ".jinja", ".yaml", ".yml"];

/// Files of the root that say what one may do with it.
const LEGAL_FILES: [&str; 6] = ["readme.md", "license", "license.md", "license.txt", "notice", "usage_policy.md"];

/// What is known of a repository before anything large is read.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Ingest {
    /// Its files and their sizes, where they are known.
    pub files: BTreeMap<RepoPath, Option<u64>>,
    /// What is in `config.json` of the root.
    pub config: Option<Value>,
    /// What is under `__metadata__` in one safetensors file of the root.
    pub metadata: BTreeMap<String, String>,
    /// The names of the tensors in that file, when its header was read.
    pub tensors: Option<Vec<String>>,
    /// The words on its card.
    pub tags: Vec<String>,
    /// The quantization that is wanted of GGUF files; none for the best.
    pub quant: Option<String>,
}

/// What a repository holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Strategy {
    /// `sentence_transformers`
    SentenceTransformers,
    /// `peft`
    Peft,
    /// `diffusers`
    Diffusers,
    /// `transformers`
    Transformers,
    /// `gguf`
    Gguf,
    /// `native_lora`
    NativeLora,
    /// `aio_singlefile`
    SingleFile,
}

/// What is taken of a repository.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Classified {
    /// What it is.
    pub strategy: Strategy,
    /// The files, in the order of their paths.
    pub files: BTreeSet<RepoPath>,
    /// What the names and the configuration say of it.
    pub attributes: BTreeMap<String, String>,
}

impl Strategy {
    /// Its name in metadata.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::SentenceTransformers => "sentence_transformers",
            Self::Peft => "peft",
            Self::Diffusers => "diffusers",
            Self::Transformers => "transformers",
            Self::Gguf => "gguf",
            Self::NativeLora => "native_lora",
            Self::SingleFile => "aio_singlefile",
        }
    }

    /// The library that loads it.
    #[must_use]
    pub fn library(self) -> &'static str {
        match self {
            Self::SentenceTransformers => "sentence-transformers",
            Self::Peft => "peft",
            Self::Diffusers => "diffusers",
            Self::Transformers => "transformers",
            Self::Gguf => "llama-cpp",
            Self::NativeLora => "diffusers-lora",
            Self::SingleFile => "diffusers-single-file",
        }
    }
}

/// What `ingest` is: the first kind that it can be.
///
/// # Errors
/// [`Refusal`] when it is none that can be taken safely, or too large.
pub fn classify(ingest: &Ingest) -> Result<Classified, Refusal> {
    let refuse = |reason| Refusal::new(reason, ingest.files.keys());
    let (strategy, weights, attributes) = weights(ingest).map_err(refuse)?;
    if weights.is_empty() {
        return Err(refuse(refusal::without_weights(ingest.files.keys(), RefusalReason::MissingSafetensors)));
    }
    let sets: BTreeSet<_> = weights.iter().filter_map(weight_set::set_name).collect();
    let side = ingest.files.keys().filter(|path| is_side_file(path, &sets)).cloned();
    let files: BTreeSet<_> = weights.into_iter().chain(side).collect();
    let sizes = files.iter().map(|path| ingest.files.get(path).copied().flatten().unwrap_or(0));
    if sizes.fold(0u64, u64::saturating_add) > BYTES_MAX {
        return Err(refuse(RefusalReason::TooLarge));
    }
    Ok(Classified { strategy, files, attributes })
}

type Weights = (Strategy, BTreeSet<RepoPath>, BTreeMap<String, String>);

fn weights(ingest: &Ingest) -> Result<Weights, RefusalReason> {
    let has = |name: &str| ingest.files.keys().any(|path| path.as_str() == name);
    let safe: Vec<_> = ingest.files.keys().filter(|path| super::is_safe(path)).collect();
    let root: Vec<_> = safe.iter().copied().filter(|path| !path.as_str().contains('/')).collect();
    let all_of_root = || root.iter().map(|path| (*path).clone()).collect();
    if has("modules.json") || has("config_sentence_transformers.json") {
        let set = pick(&safe, &PREFERRED)?;
        let dtype = set.dtype.unwrap_or("fp32");
        return Ok((Strategy::SentenceTransformers, set.files, one("dtype", dtype)));
    }
    if has("adapter_config.json") {
        return Ok((Strategy::Peft, all_of_root(), BTreeMap::new()));
    }
    if has("model_index.json") {
        return diffusers(&safe);
    }
    if let Some(config) = ingest.config.as_ref().filter(|_| has("config.json") && !safe.is_empty()) {
        let set = pick(&root, &PREFERRED)?;
        let attributes = transformers_attributes(config, &set);
        return Ok((Strategy::Transformers, set.files, attributes));
    }
    if let Some(set) = gguf::pick(ingest.files.keys(), ingest.quant.as_deref())? {
        let mut attributes = one("file_type", "gguf");
        attributes.extend(set.quant.map(|quant| ("dtype".to_owned(), format!("gguf:{quant}"))));
        return Ok((Strategy::Gguf, set.files, attributes));
    }
    if !root.is_empty() && is_adapter(ingest, &root) {
        let settings = ingest
            .metadata
            .iter()
            .filter_map(|(name, value)| Some((format!("kohya_{}", name.strip_prefix(TRAINER_PREFIX)?), value.clone())));
        return Ok((Strategy::NativeLora, all_of_root(), settings.collect()));
    }
    if !root.is_empty() {
        let set = pick(&root, &PREFERRED)?;
        let attributes = set.dtype.map(|dtype| one("dtype", dtype)).unwrap_or_default();
        return Ok((Strategy::SingleFile, set.files, attributes));
    }
    Err(refusal::without_weights(ingest.files.keys(), RefusalReason::UnknownShape))
}

/// One set for each directory of the root; weights of the root itself are another form of the same.
fn diffusers(safe: &[&RepoPath]) -> Result<Weights, RefusalReason> {
    let mut groups: BTreeMap<&str, Vec<&RepoPath>> = BTreeMap::new();
    for path in safe {
        if let Some((top, _)) = path.as_str().split_once('/') {
            groups.entry(top).or_default().push(path);
        }
    }
    let (mut files, mut dtypes) = (BTreeSet::new(), BTreeSet::new());
    for group in groups.into_values() {
        let set = pick(&group, &PREFERRED)?;
        files.extend(set.files);
        dtypes.extend(set.dtype);
    }
    let mut attributes = one("file_layout", "diffusers");
    if let (1, Some(dtype)) = (dtypes.len(), dtypes.first()) {
        attributes.extend(one("dtype", dtype));
    }
    Ok((Strategy::Diffusers, files, attributes))
}

fn transformers_attributes(config: &Value, set: &WeightSet) -> BTreeMap<String, String> {
    let mut attributes = set.dtype.map(|dtype| one("dtype", dtype)).unwrap_or_default();
    let architecture = config.get("architectures").and_then(|all| all.get(0)).and_then(Value::as_str);
    attributes.extend(architecture.map(|name| ("architecture".to_owned(), name.to_owned())));
    if config.get("quantization_config").is_some_and(|quantization| !quantization.is_null()) {
        attributes.extend(one("subtype", "quantized"));
    }
    attributes
}

/// Whether the weights of the root are an adapter. What their header says is believed before their size, which is no evidence.
fn is_adapter(ingest: &Ingest, root: &[&RepoPath]) -> bool {
    let trained = ingest.metadata.keys().any(|name| name.starts_with(TRAINER_PREFIX));
    let tagged = ingest.tags.iter().any(|tag| ADAPTER_TAGS.contains(&tag.to_ascii_lowercase().as_str()));
    let small = |path: &&RepoPath| {
        ingest.files.get(*path).copied().flatten().is_some_and(|bytes| bytes < ADAPTER_FILE_BYTES_MAX)
    };
    let looks = match &ingest.tensors {
        Some(names) => names.iter().any(|name| ADAPTER_TENSORS.iter().any(|part| name.contains(part))),
        None => root.iter().all(small),
    };
    trained || tagged || looks
}

/// Whether `path` describes a model: an index only when it is of one of `sets`.
fn is_side_file(path: &RepoPath, sets: &BTreeSet<String>) -> bool {
    let name = path.as_str().to_ascii_lowercase();
    if let Some(set) = super::weights_of_index(path) {
        return sets.contains(&set);
    }
    SIDE_FILES.iter().any(|suffix| name.ends_with(suffix)) || LEGAL_FILES.contains(&name.as_str())
}

fn one(name: &str, value: &str) -> BTreeMap<String, String> {
    BTreeMap::from([(name.to_owned(), value.to_owned())])
}

#[cfg(test)]
mod tests;
