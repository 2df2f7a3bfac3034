//! Keeps the [`ModelCache`] of a worker at what the orchestrator hears of its models: the older view of what is where.
//! Decides nothing: residency does, and the view follows.

use std::{path::Path, sync::Arc};

use gen_worker_proto::pb::{self, ModelState};

use crate::{
    InstanceCell, WorkerOptions,
    model_cache::{ModelCache, VramBudget},
};

/// What writes to the view.
#[derive(Clone)]
pub(super) struct CacheFeed(Arc<ModelCache>);

/// The view of a worker with these options: models may take of each accelerator what its budget leaves them.
pub(super) fn cache(options: &WorkerOptions) -> ModelCache {
    let budget = VramBudget {
        max_bytes_set: options.vram.models_bytes_max,
        margin_bytes_set: Some(options.vram.reserve_bytes),
        ..VramBudget::default()
    };
    let usable = options.gpus.iter().map(|gpu| budget.usable_bytes(gpu.total_bytes));
    ModelCache::new(usable.fold(0, u64::saturating_add))
}

impl CacheFeed {
    pub(super) fn new(cache: Arc<ModelCache>) -> Self {
        Self(cache)
    }

    /// A model that is on disk since before this worker.
    pub(super) fn known(&self, reference: &str) {
        self.0.mark_on_disk(reference);
    }

    /// So much of a model is there. One that is loaded stays so, whatever comes beside it.
    #[expect(clippy::cast_precision_loss, reason = "a share is told")]
    pub(super) fn downloading(&self, reference: &str, bytes_done: u64, bytes_total: u64) {
        if !self.0.is_in_vram(reference) {
            let progress = if bytes_total == 0 { 0.0 } else { bytes_done as f64 / bytes_total as f64 };
            self.0.mark_downloading(reference, progress);
        }
    }

    /// Its files are in `dir`.
    pub(super) fn fetched(&self, reference: &str, dir: &Path) {
        if !self.0.is_in_vram(reference) && self.0.model_dir(reference).as_deref() != Some(dir) {
            self.0.mark_cached_to_disk(reference, dir);
        }
        self.not_fetched(reference);
    }

    /// A transfer ended: what is on its way no more is where it was, on disk or nowhere.
    pub(super) fn not_fetched(&self, reference: &str) {
        if self.0.download_progress(reference).is_some() {
            match self.0.model_dir(reference) {
                Some(dir) => self.0.mark_cached_to_disk(reference, dir),
                None => drop(self.0.unload_model(reference)),
            }
        }
    }

    /// A job uses the models of `cell`.
    pub(super) fn used(&self, cell: &InstanceCell) {
        cell.models().values().for_each(|binding| self.0.mark_used(&binding.wire_ref()));
    }

    /// The model is where `event` says; `cell` is the instance that has it loaded.
    pub(super) fn moved(&self, event: &pb::ModelEvent, cell: Option<&Arc<InstanceCell>>) {
        let reference = event.r#ref.as_str();
        match (event.state(), cell) {
            (ModelState::InVram, Some(cell)) => {
                let bytes = u64::try_from(event.vram_bytes).unwrap_or(0);
                self.0.mark_loaded_to_vram(reference, cell.clone(), bytes);
            }
            (ModelState::InRam | ModelState::OnDisk, _) => self.0.mark_on_disk(reference),
            (ModelState::Evicted, _) => drop(self.0.unload_model(reference)),
            _ => {}
        }
    }
}
