//! Under which labels and tags a commit stands (Hub contract, 6.12, 6.16 and 6.17). Pure.

use std::collections::BTreeSet;

use gen_worker_hub::{api::CommitCreate, names::Flavor};

use super::MetadataError;

/// The tag that every commit moves.
pub(super) const LATEST: &str = "latest";

/// Refuses a commit whose labels or tags are none, before its bytes come.
pub(crate) fn check_names(body: &CommitCreate) -> Result<(), MetadataError> {
    labels(body)?;
    tags(body).map(drop)
}

/// The labels of the commit, at least the empty one, and the first that had to be changed.
pub(super) fn labels(body: &CommitCreate) -> Result<(BTreeSet<String>, Option<String>), MetadataError> {
    let (mut labels, mut changed) = (BTreeSet::new(), None);
    for given in std::iter::once(&body.flavor).chain(&body.flavors).filter(|given| !given.trim().is_empty()) {
        let label = flavor_of(given)?.unwrap_or_default();
        if label != *given {
            changed.get_or_insert_with(|| label.clone());
        }
        labels.insert(label);
    }
    if labels.is_empty() {
        labels.insert(String::new());
    }
    Ok((labels, changed))
}

/// The tags that the commit moves, each once, and the label that each prefers from now on, if it says so.
pub(super) fn tags(body: &CommitCreate) -> Result<Vec<(String, Option<String>)>, MetadataError> {
    let mut tags = vec![(LATEST.to_owned(), flavor_of(&body.default_flavor)?)];
    for tag in &body.tags {
        let default = tag.default_flavor.as_deref().unwrap_or(&body.default_flavor);
        let default = flavor_of(default)?;
        match tags.iter_mut().find(|(name, _)| name == tag.tag.as_str()) {
            Some(named) => named.1 = default,
            None => tags.push((tag.tag.to_string(), default)),
        }
    }
    Ok(tags)
}

fn flavor_of(text: &str) -> Result<Option<String>, MetadataError> {
    if text.trim().is_empty() {
        return Ok(None);
    }
    let flavor = Flavor::normalised(text).map_err(|error| MetadataError::Unfit(error.to_string()))?;
    Ok(Some(flavor.to_string()))
}
