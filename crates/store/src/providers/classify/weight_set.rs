//! One of several sets of weights: those of one number format, whole. Pure functions of names.

use std::collections::{BTreeMap, BTreeSet};

use gen_worker_hub::RepoPath;

use super::RefusalReason;

/// What follows the name of a set.
const SUFFIX: &str = ".safetensors";

/// Sets of a directory that is loaded by its name: others beside them are another form of the same.
const USUAL: [&str; 3] = ["model", "diffusion_pytorch_model", "pytorch_model"];

/// Tags in names, and the number format they mean.
const TAGS: [(&str, &str); 10] = [
    ("bf16", "bf16"),
    ("fp16", "fp16"),
    ("f16", "fp16"),
    ("half", "fp16"),
    ("fp32", "fp32"),
    ("f32", "fp32"),
    ("fp8", "fp8"),
    ("fp8_e4m3fn", "fp8"),
    ("fp8-e4m3", "fp8"),
    ("fp8_e5m2", "fp8"),
];

/// The files of one set.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct WeightSet {
    pub(super) files: BTreeSet<RepoPath>,
    /// The number format that their names say.
    pub(super) dtype: Option<&'static str>,
}

/// A name of weights in its parts: `base[.tag][-NNNNN-of-NNNNN].safetensors`.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Name<'a> {
    dir: &'a str,
    base: String,
    tag: Option<String>,
    shard: Option<(u64, u64)>,
}

/// Picks of `files` the set whose format is the first of `preferred` that there is, else the one without a tag, else the first tag
/// in the alphabet.
pub(super) fn pick(files: &[&RepoPath], preferred: &[&str]) -> Result<WeightSet, RefusalReason> {
    let mut tags: BTreeMap<Option<String>, Vec<(&RepoPath, Name<'_>)>> = BTreeMap::new();
    for path in files {
        let Some(name) = name(path) else { continue };
        tags.entry(name.tag.clone()).or_default().push((path, name));
    }
    let of_dtype = |wanted: &str| tags.keys().find(|tag| tag.as_deref().and_then(dtype) == Some(wanted)).cloned();
    let best = preferred.iter().find_map(|wanted| of_dtype(wanted));
    let best = best.or_else(|| tags.contains_key(&None).then_some(None)).or_else(|| tags.keys().next().cloned());
    let Some(tag) = best else { return Ok(WeightSet::default()) };
    let chosen = usual(tags.remove(&tag).unwrap_or_default());
    check_whole(&chosen)?;
    let files = chosen.into_iter().map(|(path, _)| path.clone()).collect();
    Ok(WeightSet { files, dtype: tag.as_deref().and_then(dtype) })
}

/// What all shards of the set of `path` have in common, as an index of them is named.
pub(super) fn set_name(path: &RepoPath) -> Option<String> {
    let Name { dir, base, tag, .. } = name(path)?;
    let tag = tag.map_or(String::new(), |tag| format!(".{tag}"));
    Some(format!("{dir}{base}{tag}{SUFFIX}"))
}

fn dtype(tag: &str) -> Option<&'static str> {
    TAGS.iter().find(|(known, _)| tag.eq_ignore_ascii_case(known)).map(|(_, dtype)| *dtype)
}

fn name(path: &RepoPath) -> Option<Name<'_>> {
    let text = path.as_str();
    let (dir, file) = text.split_at(text.rfind('/').map_or(0, |at| at + 1));
    let stem = file.get(..file.len().checked_sub(SUFFIX.len())?)?;
    if !file.get(stem.len()..)?.eq_ignore_ascii_case(SUFFIX) {
        return None;
    }
    let whole = super::super::without_shard(stem);
    let shard = shard_of(stem, &whole);
    let (base, tag) = match whole.rsplit_once('.') {
        Some((base, tag)) if !base.is_empty() && !tag.is_empty() => (base.to_owned(), Some(tag.to_owned())),
        _ => (whole, None),
    };
    Some(Name { dir, base, tag, shard })
}

/// The number of a shard and of all, which `stem` has and `whole` has not.
fn shard_of(stem: &str, whole: &str) -> Option<(u64, u64)> {
    let (before, rest) = stem.split_once("-of-").filter(|_| stem != whole)?;
    let number = before.rsplit_once('-')?.1;
    let count: String = rest.chars().take_while(char::is_ascii_digit).collect();
    Some((number.parse().ok()?, count.parse().ok()?))
}

/// Only the sets that a directory is loaded by, where it has one of them.
fn usual<'a>(chosen: Vec<(&'a RepoPath, Name<'a>)>) -> Vec<(&'a RepoPath, Name<'a>)> {
    let is_usual = |name: &Name<'_>| USUAL.contains(&name.base.as_str());
    let dirs: BTreeSet<&str> = chosen.iter().filter(|(_, name)| is_usual(name)).map(|(_, name)| name.dir).collect();
    chosen.into_iter().filter(|(_, name)| is_usual(name) || !dirs.contains(name.dir)).collect()
}

/// All shards from the first to the last are there.
fn check_whole(chosen: &[(&RepoPath, Name<'_>)]) -> Result<(), RefusalReason> {
    let mut sets: BTreeMap<(&str, &str, u64), BTreeSet<u64>> = BTreeMap::new();
    for (_, name) in chosen {
        if let Some((number, count)) = name.shard {
            sets.entry((name.dir, &name.base, count)).or_default().insert(number);
        }
    }
    let whole = |count: u64, numbers: &BTreeSet<u64>| {
        numbers.len() as u64 == count && numbers.first() == Some(&1) && numbers.last() == Some(&count)
    };
    match sets.iter().all(|((_, _, count), numbers)| whole(*count, numbers)) {
        true => Ok(()),
        false => Err(RefusalReason::IncompleteShards),
    }
}
