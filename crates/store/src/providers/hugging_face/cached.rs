//! A repository in the cache of Hugging Face, whoever put it there: this store or the Python library. Blocks.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
    path::{Path, PathBuf},
};

use gen_worker_hub::{RepoPath, model_ref::RepoRef, snapshot::SNAPSHOT_FILES_MAX};
use serde_json::Value;

use super::{
    DEFAULT_REVISION, INDEX_BYTES_MAX, Receipt,
    listing::is_commit,
    select::{Selection, is_weight, select, shard},
};
use crate::{durable, providers::receipt::ReceivedFile};

/// Largest file that names a commit.
const REF_BYTES_MAX: u64 = 1024;

/// Components of a pipeline that may be absent: they are no weights, or are passed as none.
const OPTIONAL: [&str; 2] = ["safety_checker", "feature_extractor"];

/// What directories of components with weights begin with.
const COMPONENTS: [&str; 5] = ["unet", "transformer", "vae", "text_encoder", "image_encoder"];

/// What `reference` has in the directory `repo`, when that can be all that is selected of it: every file that others name is
/// there. The library does not say whether a tree is complete, so this is as much as can be known.
pub(super) fn find(repo: &Path, reference: &RepoRef, patterns: &[String]) -> io::Result<Option<Receipt>> {
    let Some(commit) = commit(repo, reference)? else { return Ok(None) };
    let dir = repo.join("snapshots").join(commit);
    let mut receipt = Receipt { dir: dir.clone(), within: repo.to_owned(), single: false, files: Vec::new() };
    let Some(paths) = walk(&dir)? else { return Ok(None) };
    let Ok(mut selection) = select(&paths, reference.flavor(), patterns) else { return Ok(None) };
    for index in selection.indexes.clone() {
        let bytes = receipt.target(&index).map(|at| durable::read_bounded(&at, INDEX_BYTES_MAX as u64)).transpose()?;
        if selection.add_index(&index, &bytes.flatten().unwrap_or_default(), &paths).is_err() {
            return Ok(None);
        }
    }
    // Other weights than those asked for may be all that anybody has brought.
    if selection.absent_flavor.is_some() || !has_all_shards(&selection) {
        return Ok(None);
    }
    if patterns.is_empty() && !has_components(&receipt, &selection)? {
        return Ok(None);
    }
    for path in selection.files {
        // A link to nowhere: the file has not come, or was removed.
        let Some(at) = receipt.target(&path) else { return Ok(None) };
        let bytes = fs::symlink_metadata(at)?.len();
        receipt.files.push(ReceivedFile::found(path, bytes));
    }
    Ok(receipt.is_whole().then_some(receipt))
}

/// The commit that is asked for.
fn commit(repo: &Path, reference: &RepoRef) -> io::Result<Option<String>> {
    let revision = reference.revision().unwrap_or(DEFAULT_REVISION);
    if is_commit(revision) {
        return Ok(Some(revision.to_ascii_lowercase()));
    }
    // A revision is no path of another place: no ref has two points in it.
    let Ok(name) = revision.parse::<RepoPath>() else { return Ok(None) };
    let text = match durable::read_bounded(&repo.join("refs").join(name.as_str()), REF_BYTES_MAX) {
        Ok(text) => text.unwrap_or_default(),
        Err(error) if error.kind() == io::ErrorKind::NotADirectory => return Ok(None),
        Err(error) => return Err(error),
    };
    let text = String::from_utf8_lossy(&text).trim().to_owned();
    Ok(is_commit(&text).then_some(text))
}

/// All files and links below `dir`; none when it is not there.
pub(crate) fn walk(dir: &Path) -> io::Result<Option<Vec<RepoPath>>> {
    let mut open: Vec<PathBuf> = vec![dir.to_owned()];
    let mut found = Vec::new();
    while let Some(at) = open.pop() {
        let entries = match fs::read_dir(&at) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        for entry in entries {
            let entry = entry?;
            let path = entry.path();
            if entry.file_type()?.is_dir() {
                open.push(path);
                continue;
            }
            let below = path.strip_prefix(dir).ok().and_then(Path::to_str);
            let Some(below) = below.and_then(|below| below.parse().ok()) else { continue };
            found.push(below);
            if found.len() > SNAPSHOT_FILES_MAX {
                return Err(io::Error::new(io::ErrorKind::InvalidData, "more files than a model may have"));
            }
        }
    }
    found.sort();
    Ok(Some(found))
}

/// Whether each set of shards has as many as their names say.
fn has_all_shards(selection: &Selection) -> bool {
    let mut sets: BTreeMap<(String, usize), usize> = BTreeMap::new();
    for set in selection.files.iter().filter_map(|path| shard(path.as_str())) {
        *sets.entry(set).or_default() += 1;
    }
    sets.iter().all(|((_, count), found)| found == count)
}

/// Whether each component that a pipeline names has a file. What names none has weights, and not only those of components: a tokenizer
/// or a text encoder may be all that anybody wanted of it.
fn has_components(receipt: &Receipt, selection: &Selection) -> io::Result<bool> {
    let Ok(index) = "model_index.json".parse::<RepoPath>() else { return Ok(true) };
    if !selection.files.contains(&index) {
        let top = |path: &RepoPath| path.as_str().split_once('/').map_or(String::new(), |(top, _)| top.to_owned());
        let dirs: BTreeSet<_> = selection.files.iter().filter(|path| is_weight(path)).map(top).collect();
        let is_component = |dir: &String| COMPONENTS.iter().any(|start| dir.starts_with(start));
        return Ok(dirs.contains("") || (!dirs.is_empty() && !dirs.iter().any(is_component)));
    }
    let Some(at) = receipt.target(&index) else { return Ok(false) };
    let bytes = durable::read_bounded(&at, INDEX_BYTES_MAX as u64)?.unwrap_or_default();
    let Ok(components) = serde_json::from_slice::<BTreeMap<String, Value>>(&bytes) else { return Ok(false) };
    let named = components.iter().filter(|(name, value)| {
        let class = value.as_array().and_then(|class| class.first());
        !name.starts_with('_') && !OPTIONAL.contains(&name.as_str()) && class.is_some_and(Value::is_string)
    });
    let has = |name: &str| selection.files.iter().any(|path| path.as_str().starts_with(&format!("{name}/")));
    Ok(named.map(|(name, _)| name).all(|name| has(name)))
}
