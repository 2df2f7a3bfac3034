//! Which files of a repository make a model (model contract, 4a): a pure function of their names.

mod variant;

use std::collections::{BTreeMap, BTreeSet};

use gen_worker_hub::RepoPath;

use crate::providers::pattern;
pub(crate) use variant::without_shard;
pub(super) use variant::{indexed, shard, variant};

/// Files that hold weights.
const WEIGHTS: [&str; 9] = [".safetensors", ".bin", ".pt", ".pth", ".ckpt", ".gguf", ".onnx", ".msgpack", ".h5"];

/// Weights whose loading can run code.
const PICKLES: [&str; 6] = [".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle"];

/// The format that is chosen where it is.
const SAFE: &str = ".safetensors";

/// Words in paths of what is for other frameworks, or for training.
const UNASKED: [&str; 4] = ["non_ema", "openvino", "flax", "onnx"];

/// Why no files can be chosen.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SelectError {
    /// Nothing is called so.
    #[error("no file matches {}", .0.join(", "))]
    NoMatch(Vec<String>),
    /// An index names a file that is not there.
    #[error("{index} names {shard}, which is not there")]
    MissingShard {
        /// The index.
        index: RepoPath,
        /// What it names.
        shard: String,
    },
    /// An index that is none.
    #[error("{0} is no index of weights")]
    Index(RepoPath),
    /// What should name the components of a pipeline does not.
    #[error("its list of components cannot be read")]
    Pipeline,
    /// None of the components is there.
    #[error(
        "it has none of the components that the rules of version 0.3 want: COZY_HF_COMPONENTS names others, \
         COZY_HF_FULL_REPO_DOWNLOAD takes all"
    )]
    NoComponents,
    /// A tokenizer without what makes it one.
    #[error("{component} has no file of a tokenizer")]
    Tokenizer {
        /// Which.
        component: String,
    },
    /// Weights that could run code, and no others.
    #[error(
        "{component} has pickled weights only: an endpoint that declares the model gets them with `files`, or with \
         COZY_HF_FULL_REPO_DOWNLOAD"
    )]
    OnlyPickles {
        /// Which.
        component: String,
    },
    /// Weights of single precision, and no others.
    #[error("{component} has no weights of an accepted precision: add fp32 to COZY_HF_WEIGHT_PRECISIONS to take them")]
    Precision {
        /// Which.
        component: String,
    },
    /// Civitai has files of other kinds only.
    #[error("it has no safetensors files that can be downloaded")]
    NoSupportedFiles,
}

/// What was chosen.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selection {
    /// The files, in the order of their paths.
    pub files: BTreeSet<RepoPath>,
    /// The chosen files that name others, which have to come too.
    pub indexes: BTreeSet<RepoPath>,
    /// The flavor that was asked for, when no file has it.
    pub absent_flavor: Option<String>,
}

/// Chooses of `listed`. `patterns` replace all rules when there are any, and then `flavor` means nothing.
///
/// # Errors
/// [`SelectError::NoMatch`] when no file matches one of the patterns.
pub fn select(listed: &[RepoPath], flavor: Option<&str>, patterns: &[String]) -> Result<Selection, SelectError> {
    if !patterns.is_empty() {
        let matches = |path: &&RepoPath| patterns.iter().any(|pattern| pattern::matches(pattern, path));
        let files: BTreeSet<_> = listed.iter().filter(matches).cloned().collect();
        return match files.is_empty() {
            true => Err(SelectError::NoMatch(patterns.to_vec())),
            false => Ok(Selection { files, ..Selection::default() }),
        };
    }
    let flavor = flavor.map(str::to_ascii_lowercase);
    let listed = without_unasked(listed, flavor.as_deref());
    let weights: Vec<_> = listed.iter().copied().filter(|path| is_weight(path)).collect();
    let (chosen, has_flavor) = chosen(&listed, &weights, flavor.as_deref());
    let mut selection = Selection { absent_flavor: flavor.filter(|_| !has_flavor), ..Selection::default() };
    let shards: BTreeSet<_> = chosen.iter().map(|path| without_shard(path.as_str())).collect();
    for path in listed {
        match indexed(path.as_str()).filter(|weights| has_suffix(weights, &WEIGHTS)) {
            Some(weights) if shards.contains(&weights) => drop(selection.indexes.insert(path.clone())),
            Some(_) => continue,
            None if is_weight(path) && !chosen.contains(path) => continue,
            None => {}
        }
        selection.files.insert(path.clone());
    }
    Ok(selection)
}

impl Selection {
    /// Adds what `index`, one of [`Selection::indexes`], names: `bytes` is what is in it.
    ///
    /// # Errors
    /// [`SelectError::MissingShard`] when `listed` does not have it, [`SelectError::Index`] when `bytes` are no index.
    pub fn add_index(&mut self, index: &RepoPath, bytes: &[u8], listed: &[RepoPath]) -> Result<(), SelectError> {
        self.files.extend(shards(index, bytes, |path| listed.contains(path))?);
        Ok(())
    }
}

/// The files that `index` names, with `bytes` in it; each has to be one of which `listed` says that it is there.
pub(super) fn shards(
    index: &RepoPath,
    bytes: &[u8],
    listed: impl Fn(&RepoPath) -> bool,
) -> Result<BTreeSet<RepoPath>, SelectError> {
    #[derive(serde::Deserialize)]
    struct Index {
        weight_map: BTreeMap<String, String>,
    }
    let Index { weight_map } = serde_json::from_slice(bytes).map_err(|_| SelectError::Index(index.clone()))?;
    let dir = index.as_str().rsplit_once('/').map_or("", |(dir, _)| dir);
    let names: BTreeSet<_> = weight_map.into_values().collect();
    let found = names.into_iter().map(|shard| {
        let path = if dir.is_empty() { shard.clone() } else { format!("{dir}/{shard}") };
        let found = path.parse::<RepoPath>().ok().filter(|path| listed(path));
        found.ok_or_else(|| SelectError::MissingShard { index: index.clone(), shard })
    });
    found.collect()
}

/// Whether `path` holds weights.
pub(super) fn is_weight(path: &RepoPath) -> bool {
    has_suffix(path.file_name(), &WEIGHTS)
}

/// Whether loading `path` can run code.
pub(super) fn is_pickle(path: &RepoPath) -> bool {
    has_suffix(path.file_name(), &PICKLES)
}

/// Whether `path` is of the format that cannot.
pub(crate) fn is_safe(path: &RepoPath) -> bool {
    has_suffix(path.file_name(), &[SAFE])
}

fn has_suffix(name: &str, suffixes: &[&str]) -> bool {
    let name = name.to_ascii_lowercase();
    suffixes.iter().any(|suffix| name.ends_with(suffix))
}

/// Leaves out what is for others (fix c), where that leaves a model.
fn without_unasked<'a>(listed: &'a [RepoPath], flavor: Option<&str>) -> Vec<&'a RepoPath> {
    let unasked = |path: &RepoPath| {
        let text = path.as_str().to_ascii_lowercase();
        let foreign = |word: &str| text.contains(word) && flavor.is_none_or(|flavor| !flavor.contains(word));
        UNASKED.iter().any(|word| foreign(word))
    };
    let rest: Vec<_> = listed.iter().filter(|path| !unasked(path)).collect();
    let had_weights = listed.iter().any(is_weight);
    if had_weights && !rest.iter().any(|path| is_weight(path)) { listed.iter().collect() } else { rest }
}

/// The weights that are chosen, and whether one of them has the flavor that was asked for.
fn chosen<'a>(
    listed: &[&'a RepoPath],
    weights: &[&'a RepoPath],
    flavor: Option<&str>,
) -> (BTreeSet<&'a RepoPath>, bool) {
    let diffusers = listed.iter().any(|path| path.as_str() == "model_index.json" || is_denoiser(top(path)));
    let below_root = weights.iter().any(|path| !top(path).is_empty());
    if weights.is_empty() || (!diffusers && below_root) {
        let has_flavor = weights.iter().any(|path| flavor.is_some() && variant(path.file_name()) == flavor);
        return (without_pickles(weights), has_flavor);
    }
    let mut groups: BTreeMap<&str, Vec<&RepoPath>> = BTreeMap::new();
    weights.iter().for_each(|path| groups.entry(top(path)).or_default().push(path));
    if diffusers && groups.len() > 1 {
        groups.remove("");
    }
    let (mut all, mut has_flavor) = (BTreeSet::new(), false);
    for group in groups.into_values() {
        let (files, had) = of_group(group, flavor);
        has_flavor |= had;
        all.extend(files);
    }
    (all, has_flavor)
}

/// All weights, but for pickles that have safetensors beside them (fix d).
fn without_pickles<'a>(weights: &[&'a RepoPath]) -> BTreeSet<&'a RepoPath> {
    let dir = |path: &'a RepoPath| path.as_str().rsplit_once('/').map_or("", |(dir, _)| dir);
    let safe: BTreeSet<_> = weights.iter().filter(|path| is_safe(path)).map(|path| dir(path)).collect();
    weights.iter().filter(|path| !is_pickle(path) || !safe.contains(dir(path))).copied().collect()
}

/// The weights of one component: one format, one variant (rule 4.4).
fn of_group<'a>(group: Vec<&'a RepoPath>, flavor: Option<&str>) -> (Vec<&'a RepoPath>, bool) {
    let has_safe = group.iter().any(|path| is_safe(path));
    let mut variants: BTreeMap<Option<&str>, Vec<&RepoPath>> = BTreeMap::new();
    for path in group.into_iter().filter(|path| !has_safe || is_safe(path)) {
        variants.entry(variant(path.file_name())).or_default().push(path);
    }
    let mut order = flavor.into_iter().chain(["bf16", "fp16"]).map(Some).chain([None]);
    let has_flavor = flavor.is_some() && variants.contains_key(&flavor);
    let best = order.find_map(|variant| variants.remove(&variant));
    // Words in their alphabetic order; none of them is before all of them, and was asked for already.
    let best = best.or_else(|| variants.into_values().next());
    (best.unwrap_or_default(), has_flavor)
}

/// The directory of the root that `path` is in, nothing for a file of the root.
fn top(path: &RepoPath) -> &str {
    path.as_str().split_once('/').map_or("", |(top, _)| top)
}

fn is_denoiser(top: &str) -> bool {
    matches!(top, "transformer" | "unet")
}

#[cfg(test)]
mod tests;
