//! What a job has made, as the commits that publish it: one for each flavor (Hub contract, 6.11). Pure.

use serde_json::{Map, Value};

use super::commit::{CommitCreate, CommitMode, CommitOperation};
use crate::{
    model_ref::{RefError, RepoName},
    snapshot::SnapshotFile,
};

/// One form of a model.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ProducedFlavor {
    /// Its label, if it was given one.
    pub flavor: String,
    /// More labels of the same tree.
    pub flavors: Vec<String>,
    /// What is known of it.
    pub attributes: Map<String, Value>,
    /// Its files.
    pub files: Vec<SnapshotFile>,
}

impl ProducedFlavor {
    /// Its label: the one that it was given, else its attribute `flavor`, else its attribute `dtype`, else none.
    #[must_use]
    pub fn label(&self) -> String {
        let attributes = ["flavor", "dtype"].iter().filter_map(|name| self.attributes.get(*name).map(text));
        let named = std::iter::once(self.flavor.clone()).chain(attributes);
        named.map(|name| name.trim().to_owned()).find(|name| !name.is_empty()).unwrap_or_default()
    }

    /// The commit that publishes it. Attributes become texts: a text stays as it is, all else is written as JSON.
    #[must_use]
    pub fn commit(&self, mode: CommitMode) -> CommitCreate {
        let add = |file: &SnapshotFile| CommitOperation::Add {
            path: file.path.clone(),
            blake3: file.blake3,
            size_bytes: file.size_bytes,
        };
        let metadata = self.attributes.iter().map(|(name, value)| (name.clone(), text(value).into())).collect();
        let (flavor, flavors) = (self.label(), self.flavors.clone());
        CommitCreate { flavor, flavors, metadata, ..CommitCreate::new(mode, self.files.iter().map(add).collect()) }
    }
}

/// How flavor `number` of a clone, counted from 0, is committed: the first one replaces what is there if the clone may overwrite
/// it, and the others join it.
#[must_use]
pub fn clone_mode(number: usize, overwrite: bool) -> CommitMode {
    if number == 0 && overwrite { CommitMode::Replace } else { CommitMode::Merge }
}

/// Where to: what was named for this flavor, else where the job publishes. Names have no case (1.8). None when nothing is named.
///
/// # Errors
/// When it is no repository.
pub fn destination(named: &str, of_job: &str) -> Option<Result<RepoName, RefError>> {
    let text = [named, of_job].into_iter().map(str::trim).find(|text| !text.is_empty())?;
    Some(text.parse::<RepoName>().map(|repo| repo.to_lowercase()))
}

fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

#[cfg(test)]
mod tests;
