//! Models that were resolved once and are not asked for again (C-55). Owns what holds them.

use std::{collections::BTreeMap, sync::Arc};

use futures::future::{BoxFuture, FutureExt as _};
use gen_worker_core::{
    Binding, FetchProgress, FetchedModel, ModelError, ModelResidency, ModelSource, TellEvicted, fetch_model,
};
use gen_worker_proto::pb;
use parking_lot::Mutex;

/// Keeps what `source` gave for each wire ref.
pub(crate) struct KeptModels {
    source: Arc<dyn ModelSource>,
    kept: Mutex<BTreeMap<String, FetchedModel>>,
}

impl KeptModels {
    /// Nothing is kept yet.
    pub(crate) fn of(source: Arc<dyn ModelSource>) -> Self {
        Self { source, kept: Mutex::default() }
    }
}

impl ModelSource for KeptModels {
    fn fetch<'a>(
        &'a self,
        binding: &'a Binding,
        snapshot: Option<&'a pb::Snapshot>,
        progress: &'a dyn FetchProgress,
    ) -> BoxFuture<'a, Result<FetchedModel, ModelError>> {
        async move {
            let reference = binding.wire_ref();
            if let Some(kept) = self.kept.lock().get(&reference).cloned() {
                return Ok(kept);
            }
            let model = fetch_model(&*self.source, binding, snapshot, progress).await?;
            self.kept.lock().insert(reference, model.clone());
            Ok(model)
        }
        .boxed()
    }

    fn is_sound<'a>(
        &'a self,
        binding: &'a Binding,
        snapshot: Option<&'a pb::Snapshot>,
    ) -> BoxFuture<'a, Result<bool, ModelError>> {
        async move {
            let sound = self.source.is_sound(binding, snapshot).await?;
            if !sound {
                self.kept.lock().remove(&binding.wire_ref());
            }
            Ok(sound)
        }
        .boxed()
    }

    fn tries(&self) -> u32 {
        // Those of the source are in each fetch.
        1
    }

    fn residency(&self) -> Vec<ModelResidency> {
        self.source.residency()
    }

    fn spare(&self, keep: &[String]) {
        self.source.spare(keep);
    }

    fn on_evicted(&self, tell: TellEvicted) {
        self.source.on_evicted(tell);
    }
}
