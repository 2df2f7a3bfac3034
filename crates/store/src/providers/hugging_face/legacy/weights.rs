//! Which weights of a component are taken (rules 4.12, 4.13). Pure functions.

use std::collections::{BTreeMap, BTreeSet};

use gen_worker_hub::RepoPath;
use serde::Deserialize;

use super::{Component, Sizes};
use crate::providers::hugging_face::select::{SelectError, indexed, is_safe, shards, variant};

/// What a candidate is worth whose weights are of this type: name in a header, name in the options, worth.
const WORTH: [(&str, &str, u32); 3] = [("F16", "fp16", 100), ("BF16", "bf16", 99), ("F32", "fp32", 98)];

/// What it is worth less when it has several types.
const MIXED: u32 = 50;

/// What a candidate of another type is worth. One whose type nobody knows is worth nothing.
const OTHER: u32 = 1;

/// Labels in names, the best first, where no header could be read.
const LABELS: [Option<&str>; 4] = [Some("bf16"), Some("fp8"), Some("fp16"), None];

/// The label that is taken only when it is asked for.
const SINGLE: &str = "fp32";

/// Weights that a component could be loaded from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in super::super) struct Candidate {
    /// What names its files, when it is a set.
    pub(in super::super) index: Option<RepoPath>,
    /// Its files in their order: a set has several.
    pub(in super::super) files: Vec<RepoPath>,
    /// Their bytes, as far as they are known.
    pub(in super::super) bytes: u64,
}

/// Of which set of safetensors `path` is the index, in the form that its shards have in common.
pub(crate) fn index_of(path: &RepoPath) -> Option<String> {
    indexed(path.as_str()).filter(|weights| weights.to_ascii_lowercase().ends_with(".safetensors"))
}

/// The candidates of `component`; `indexes` has what is in each of its indexes.
pub(in super::super) fn candidates(
    listed: &Sizes,
    component: &Component,
    indexes: &BTreeMap<RepoPath, Vec<u8>>,
) -> Result<Vec<Candidate>, SelectError> {
    let bytes = |path: &RepoPath| listed.get(path).copied().flatten().unwrap_or(0);
    let (mut found, mut named) = (Vec::new(), BTreeSet::new());
    for (index, content) in indexes {
        let files: Vec<_> = shards(index, content, |path| listed.contains_key(path))?.into_iter().collect();
        let sum = files.iter().map(bytes).fold(0u64, u64::saturating_add);
        named.extend(files.iter().cloned());
        found.push(Candidate { index: Some(index.clone()), files, bytes: sum });
    }
    for path in component.files(listed).filter(|path| is_safe(path) && !named.contains(*path)) {
        found.push(Candidate { index: None, files: vec![path.clone()], bytes: bytes(path) });
    }
    found.retain(|candidate| !candidate.files.is_empty());
    Ok(found)
}

/// The number formats in the header of a safetensors file; none when it is no header.
pub(in super::super) fn dtypes(header: &[u8]) -> Option<BTreeSet<String>> {
    #[derive(Deserialize)]
    struct Entry {
        dtype: Option<String>,
    }
    let tensors: BTreeMap<String, Entry> = serde_json::from_slice(header).ok()?;
    Some(tensors.into_values().filter_map(|entry| entry.dtype).collect())
}

/// The best of `candidates`, whose number formats are `probes`: by these, or by names when none is known. None when all are of
/// single precision and nobody asked for that.
pub(super) fn choose<'a>(
    candidates: &'a [Candidate],
    probes: &[Option<BTreeSet<String>>],
    precisions: &[String],
) -> Option<&'a Candidate> {
    let single = precisions.iter().any(|word| word == SINGLE);
    if probes.iter().all(Option::is_none) {
        let label = |candidate: &Candidate| candidate.files.first().map(label).unwrap_or_default();
        let order = LABELS.into_iter().chain(single.then_some(Some(SINGLE)));
        let rank = |candidate: &Candidate| order.clone().position(|known| known == label(candidate));
        let ranked = candidates.iter().filter_map(|candidate| Some((rank(candidate)?, candidate)));
        return ranked.min_by_key(|(rank, candidate)| (*rank, candidate.bytes)).map(|(_, candidate)| candidate);
    }
    let scored = candidates.iter().zip(probes).map(|(candidate, probe)| (score(probe.as_ref(), precisions), candidate));
    let allowed = scored.zip(probes).filter(|(_, probe)| single || !probe.as_ref().is_some_and(is_single));
    allowed
        .map(|(scored, _)| scored)
        .max_by_key(|(score, candidate)| (*score, u64::MAX - candidate.bytes))
        .map(|(_, candidate)| candidate)
}

/// What weights of these formats are worth.
fn score(dtypes: Option<&BTreeSet<String>>, precisions: &[String]) -> u32 {
    let Some(dtypes) = dtypes else { return 0 };
    let accepted = |word: &str| precisions.iter().any(|accepted| accepted == word);
    let worth = WORTH.into_iter().find(|(name, word, _)| dtypes.contains(*name) && accepted(word));
    let mixed = if floats(dtypes).count() > 1 { MIXED } else { 0 };
    worth.map_or(OTHER, |(_, _, worth)| worth - mixed)
}

fn is_single(dtypes: &BTreeSet<String>) -> bool {
    floats(dtypes).eq(["F32"])
}

/// Positions and masks are whole numbers in every checkpoint: they say nothing of its precision.
fn floats(dtypes: &BTreeSet<String>) -> impl Iterator<Item = &str> {
    dtypes.iter().map(String::as_str).filter(|name| name.starts_with('F') || name.starts_with("BF"))
}

/// The number format in the name of `path`.
fn label(path: &RepoPath) -> Option<&'static str> {
    let name = path.file_name().to_ascii_lowercase();
    let single = ['.', '-', '_'].iter().any(|mark| name.contains(&format!("{mark}{SINGLE}")));
    if single { Some(SINGLE) } else { variant(&name) }
}
