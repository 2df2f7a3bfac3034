//! Models that already lie on this machine, alone or over another source.

use std::{collections::BTreeMap, future::ready, path::PathBuf, sync::Arc};

use futures::future::BoxFuture;
use gen_worker_proto::pb;

use super::{FetchProgress, FetchedModel, ModelError, ModelResidency, ModelSource, TellEvicted, Tier};
use crate::binding::Binding;

/// Models in local directories, named by wire ref. Owns nothing but the table.
#[derive(Clone, Debug, Default)]
pub struct LocalModels(BTreeMap<String, PathBuf>);

impl LocalModels {
    /// A source without models.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Says that the model called `reference` on the wire is in `dir`. The last word about a ref counts.
    #[must_use]
    pub fn with(mut self, reference: impl Into<String>, dir: impl Into<PathBuf>) -> Self {
        self.0.insert(reference.into(), dir.into());
        self
    }

    /// Whether somebody said where the model of `binding` is.
    #[must_use]
    pub fn has(&self, binding: &Binding) -> bool {
        self.dir(binding).is_some()
    }

    fn dir(&self, binding: &Binding) -> Option<&PathBuf> {
        // A person who types `--model` may not know tag or revision: the plain repository name is good enough.
        self.0.get(&binding.wire_ref()).or_else(|| self.0.get(binding.reference()))
    }

    fn locate(&self, binding: &Binding) -> Result<FetchedModel, ModelError> {
        let reference = binding.wire_ref();
        let Some(dir) = self.dir(binding) else { return Err(ModelError::Unknown(reference)) };
        match std::fs::read_dir(dir) {
            Ok(_) => Ok(FetchedModel::at(dir)),
            Err(source) => Err(ModelError::Directory { reference, dir: dir.clone(), source }),
        }
    }
}

impl ModelSource for LocalModels {
    fn fetch<'a>(
        &'a self,
        binding: &'a Binding,
        _snapshot: Option<&'a pb::Snapshot>,
        _progress: &'a dyn FetchProgress,
    ) -> BoxFuture<'a, Result<FetchedModel, ModelError>> {
        Box::pin(ready(self.locate(binding)))
    }

    fn residency(&self) -> Vec<ModelResidency> {
        let held =
            |reference: &String| ModelResidency { reference: reference.clone(), tier: Tier::Disk, vram_bytes: 0 };
        self.0.keys().map(held).collect()
    }
}

/// Local directories over another source: what a person said counts more than what anybody resolved.
pub struct Overridden {
    local: LocalModels,
    rest: Arc<dyn ModelSource>,
}

impl Overridden {
    /// The models of `local`, and all others from `rest`.
    #[must_use]
    pub fn new(local: LocalModels, rest: Arc<dyn ModelSource>) -> Self {
        Self { local, rest }
    }

    fn of(&self, binding: &Binding) -> &dyn ModelSource {
        if self.local.has(binding) { &self.local } else { &*self.rest }
    }
}

impl ModelSource for Overridden {
    fn fetch<'a>(
        &'a self,
        binding: &'a Binding,
        snapshot: Option<&'a pb::Snapshot>,
        progress: &'a dyn FetchProgress,
    ) -> BoxFuture<'a, Result<FetchedModel, ModelError>> {
        self.of(binding).fetch(binding, snapshot, progress)
    }

    fn is_sound<'a>(
        &'a self,
        binding: &'a Binding,
        snapshot: Option<&'a pb::Snapshot>,
    ) -> BoxFuture<'a, Result<bool, ModelError>> {
        self.of(binding).is_sound(binding, snapshot)
    }

    fn tries(&self) -> u32 {
        self.rest.tries()
    }

    fn residency(&self) -> Vec<ModelResidency> {
        let mut held = self.local.residency();
        held.extend(self.rest.residency().into_iter().filter(|held| !self.local.0.contains_key(&held.reference)));
        held
    }

    fn spare(&self, keep: &[String]) {
        self.rest.spare(keep);
    }

    fn on_evicted(&self, tell: TellEvicted) {
        self.rest.on_evicted(tell);
    }
}
