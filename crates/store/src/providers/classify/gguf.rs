//! One of several GGUF files: the quantization that is wanted, or the best. Pure functions of names.

use std::collections::{BTreeMap, BTreeSet};

use gen_worker_hub::RepoPath;

use super::RefusalReason;

/// Quantizations, the best first.
const ORDER: [&str; 13] =
    ["q8_0", "q6_k", "q5_k_m", "q5_k_s", "q4_k_m", "q4_k_s", "q4_0", "q3_k_m", "q3_k_s", "q2_k", "f16", "bf16", "f32"];

/// The files of one quantization: one, or all parts of one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct GgufSet {
    pub(super) files: BTreeSet<RepoPath>,
    pub(super) quant: Option<String>,
}

/// Picks of `files`; none when none is GGUF. Files of directories count where the root has none.
pub(super) fn pick<'a>(
    files: impl Iterator<Item = &'a RepoPath>,
    wanted: Option<&str>,
) -> Result<Option<GgufSet>, RefusalReason> {
    let all: Vec<_> = files.filter(|path| path.as_str().to_ascii_lowercase().ends_with(".gguf")).collect();
    let at_root = all.iter().any(|path| !path.as_str().contains('/'));
    let mut sets: BTreeMap<String, BTreeSet<RepoPath>> = BTreeMap::new();
    for path in all.iter().filter(|path| !at_root || !path.as_str().contains('/')) {
        let name = super::super::without_shard(path.as_str()).to_ascii_lowercase();
        sets.entry(name).or_default().insert((*path).clone());
    }
    let with = |quant: &str| sets.iter().find(|(name, _)| has(name, quant)).map(|(_, files)| files.clone());
    if sets.is_empty() {
        return Ok(None);
    }
    if let Some(wanted) = wanted.map(str::to_ascii_lowercase) {
        let files = with(&wanted).ok_or(RefusalReason::GgufQuantNotFound)?;
        return Ok(Some(GgufSet { files, quant: Some(wanted) }));
    }
    let best = ORDER.iter().find_map(|quant| Some((with(quant)?, Some((*quant).to_owned()))));
    let best = best.or_else(|| sets.values().next().map(|files| (files.clone(), None)));
    Ok(best.map(|(files, quant)| GgufSet { files, quant }))
}

/// Whether `name` has `quant` in it as a word: `bf16` is not `f16`, and `q4_0_4_4` not `q4_0`.
fn has(name: &str, quant: &str) -> bool {
    let border = |c: Option<char>, inner: bool| c.is_none_or(|c| !(c.is_ascii_alphanumeric() || inner && c == '_'));
    !quant.is_empty()
        && name.match_indices(quant).any(|(at, _)| {
            let before = name.get(..at).and_then(|text| text.chars().next_back());
            let after = name.get(at + quant.len()..).and_then(|text| text.chars().next());
            border(before, false) && border(after, true)
        })
}
