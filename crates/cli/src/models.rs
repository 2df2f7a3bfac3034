//! Where the models of a command come from: directories that somebody named, and the store for all others.

#[cfg(feature = "pool")]
pub(crate) mod command;
mod events;
mod kept;
mod local;
mod settings;

use std::sync::Arc;

use gen_worker_core::{Binding, LocalModels, ModelSource, Overridden, StoreModels};
use gen_worker_tasks::Cancel;

pub(crate) use events::FetchEvents;
pub(crate) use kept::KeptModels;
pub(crate) use local::resolve;
pub(crate) use settings::{Reach, StoreSettings};

use crate::{
    args::ModelDir,
    env::Environment,
    exit::{Failure, chain},
};

/// Where models come from, as far as it is known before anything is opened.
pub(crate) struct ModelPlan {
    local: LocalModels,
    store: StoreSettings,
}

impl ModelPlan {
    /// The directories of `flags`, over those of the environment, over the store.
    ///
    /// # Errors
    /// A malformed entry or setting (exit 2), or a directory that is not there (exit 3).
    pub(crate) fn of(flags: &[ModelDir], env: &Environment, reach: Reach) -> Result<Self, Failure> {
        let entries = resolve(flags, env)?.into_iter();
        let local = entries.fold(LocalModels::new(), |models, entry| models.with(entry.model, entry.dir));
        Ok(Self { local, store: StoreSettings::of(env, reach)? })
    }

    /// The source for what `declared` names. The store is opened when one of them is in none of the directories.
    ///
    /// # Errors
    /// When the store cannot be opened (exit 3).
    pub(crate) async fn open<'a>(
        self,
        declared: impl IntoIterator<Item = &'a Binding>,
        cancel: &Cancel,
    ) -> Result<Arc<dyn ModelSource>, Failure> {
        let missing: Vec<_> = declared.into_iter().filter(|binding| !self.local.has(binding)).collect();
        if missing.is_empty() {
            return Ok(Arc::new(self.local));
        }
        let options = self.store.options(missing.into_iter().cloned().collect())?;
        let store = StoreModels::open(options, cancel).await.map_err(|error| Failure::model(chain(&error)))?;
        Ok(Arc::new(Overridden::new(self.local, Arc::new(store))))
    }
}
