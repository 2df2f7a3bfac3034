//! What functions need of models, as their endpoints declare it. Owned by the owner loop, which hears it by
//! [`super::Handle::describe`].

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
};

use gen_worker_proto::FunctionName;

use super::{lanes::FUNCTIONS_MAX, snapshots::ModelKey, views::FunctionManifest};

/// Models read of one function: slots of real ones are counted in ones.
const MODELS_MAX: usize = 64;

/// A model that a function declares.
#[derive(Clone, Debug)]
pub(crate) struct Need {
    pub(crate) slot: String,
    /// As it stands on the wire: workers compare it byte for byte.
    pub(crate) r#ref: String,
    /// What the hub is asked; none for models of other providers.
    pub(crate) key: Option<ModelKey>,
}

/// Everything that one function declares.
#[derive(Clone, Debug, Default)]
pub(crate) struct Needs {
    pub(crate) models: Vec<Need>,
    /// Whether jobs name a source in their payload, which is fetched like a model (9.8).
    pub(crate) has_source: bool,
}

/// The functions that were described.
#[derive(Debug, Default)]
pub(crate) struct Declared(HashMap<FunctionName, Arc<Needs>>);

impl Needs {
    fn of(manifest: &FunctionManifest) -> Self {
        let need = |model: &super::views::DeclaredModel| Need {
            slot: model.slot.clone(),
            r#ref: model.r#ref.clone(),
            key: model.hub_ref.clone().map(|reference| ModelKey { tenant: manifest.owner.clone(), reference }),
        };
        Self {
            models: manifest.models.iter().take(MODELS_MAX).map(need).collect(),
            has_source: matches!(manifest.kind.as_str(), "conversion" | "dataset" | "training"),
        }
    }

    /// Those that the hub has to provide.
    pub(crate) fn of_hub(&self) -> impl Iterator<Item = (&Need, &ModelKey)> {
        self.models.iter().filter_map(|need| Some((need, need.key.as_ref()?)))
    }

    /// The model of a slot.
    pub(crate) fn slot(&self, slot: &str) -> Option<&Need> {
        self.models.iter().find(|need| need.slot == slot)
    }
}

impl Declared {
    /// Takes over what endpoints say, in place of what was said before. What is beyond the bound on functions is left out.
    pub(crate) fn put(&mut self, manifests: &[FunctionManifest]) {
        for manifest in manifests {
            if self.0.len() < FUNCTIONS_MAX || self.0.contains_key(&manifest.name) {
                self.0.insert(manifest.name.clone(), Arc::new(Needs::of(manifest)));
            }
        }
    }

    /// What a function needs; none for one that nobody described.
    pub(crate) fn get(&self, function: &FunctionName) -> Option<&Arc<Needs>> {
        self.0.get(function)
    }

    /// Every ref that these functions declare: what a worker that offers them should keep on its disk.
    pub(crate) fn refs<'a>(&self, functions: impl Iterator<Item = &'a FunctionName>) -> BTreeSet<String> {
        let needs = functions.filter_map(|function| self.get(function));
        needs.flat_map(|needs| needs.models.iter().map(|need| need.r#ref.clone())).collect()
    }

    /// Functions that declare this model of the hub, and how they call it.
    pub(crate) fn users<'a>(&'a self, key: &'a ModelKey) -> impl Iterator<Item = (&'a FunctionName, &'a str)> {
        self.0.iter().filter_map(move |(function, needs)| {
            let (need, _) = needs.of_hub().find(|(_, known)| *known == key)?;
            Some((function, need.r#ref.as_str()))
        })
    }
}
