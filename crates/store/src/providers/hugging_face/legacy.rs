//! The selection of version 0.3, for refs of its manifests and for who sets its variables (model contract, 4b).
//!
//! ```text
//! model_index.json ──> components ──> support files
//!                          └──> candidates: indexes, single files ──probe of dtypes──> the best one
//! ```
//! The rules are pure functions of what was read; reading is the client's.

mod components;
mod weights;

use std::collections::{BTreeMap, BTreeSet};

use gen_worker_hub::RepoPath;

use super::select::{SelectError, Selection, is_pickle};
pub(super) use components::{Component, components};
use weights::choose;
pub(crate) use weights::index_of;
pub(super) use weights::{Candidate, candidates, dtypes};

/// Largest header of weights that is read to know what they are (rule 4.12).
pub(super) const HEADER_BYTES_MAX: u64 = 32 * 1024 * 1024;

/// What says which components a pipeline has.
pub(super) const PIPELINE: &str = "model_index.json";

/// What the old variables say (section 4b).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LegacySelection {
    /// Directories that are taken instead of those that the pipeline names; none for those.
    pub components: Vec<String>,
    /// Whether `safety_checker` and `feature_extractor` come too.
    pub optional_components: bool,
    /// Number formats that are taken: `fp16`, `bf16`, `fp32`.
    pub precisions: Vec<String>,
    /// Whether all JSON files of the root come.
    pub root_json: bool,
    /// Whether everything comes, whatever its size.
    pub full_repo: bool,
}

/// A listing: paths, and sizes where they are known.
pub(super) type Sizes = BTreeMap<RepoPath, Option<u64>>;

impl Default for LegacySelection {
    fn default() -> Self {
        Self {
            components: Vec::new(),
            optional_components: false,
            precisions: vec!["fp16".to_owned(), "bf16".to_owned()],
            root_json: false,
            full_repo: false,
        }
    }
}

impl LegacySelection {
    /// Whether `text` is one of the words that switched things on.
    #[must_use]
    pub fn is_truthy(text: &str) -> bool {
        ["1", "true", "yes", "y", "t"].contains(&text.trim().to_ascii_lowercase().as_str())
    }

    /// The words of a list with commas in between.
    #[must_use]
    pub fn words(text: &str) -> Vec<String> {
        text.split(',').map(str::trim).filter(|word| !word.is_empty()).map(str::to_owned).collect()
    }
}

/// The files of the root (rule 4.9).
pub(super) fn root_files(listed: &Sizes, options: &LegacySelection) -> BTreeSet<RepoPath> {
    let wanted = |path: &&RepoPath| {
        let name = path.as_str();
        name == PIPELINE || (options.root_json && !name.contains('/') && name.ends_with(".json"))
    };
    listed.keys().filter(wanted).cloned().collect()
}

/// Adds `component` to what is chosen: its support files, and the best of its `candidates`, whose dtypes are `probes`.
pub(super) fn add(
    selection: &mut Selection,
    listed: &Sizes,
    component: &Component,
    candidates: &[Candidate],
    probes: &[Option<BTreeSet<String>>],
    options: &LegacySelection,
) -> Result<(), SelectError> {
    selection.files.extend(component.support(listed)?);
    if !component.has_weights() {
        return Ok(());
    }
    if candidates.is_empty() {
        let pickles = component.files(listed).any(is_pickle);
        let refused = || SelectError::OnlyPickles { component: component.name().to_owned() };
        return if pickles { Err(refused()) } else { Ok(()) };
    }
    let best = choose(candidates, probes, &options.precisions);
    let best = best.ok_or_else(|| SelectError::Precision { component: component.name().to_owned() })?;
    selection.files.extend(best.index.iter().chain(&best.files).cloned());
    Ok(())
}

#[cfg(test)]
mod tests;
