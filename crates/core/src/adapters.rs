//! The adapters of a job: brought to this machine and looked at before its handler starts. Owns nothing but what keeps
//! them on disk.

use std::{
    collections::{BTreeMap, HashMap},
    path::{Path, PathBuf},
};

use gen_worker_proto::pb;
use gen_worker_store::tensor_names;
use gen_worker_tasks::Scope;

use crate::{
    ModelSource, NoProgress, WorkerError,
    binding::hub,
    bytes_on_disk::files,
    context::Lora,
    lora_overlays::{LoraError, adapter_file, check_tensors, effective_weight},
    model_fetch,
    model_source::FetchedModel,
};

/// The adapters of one job, by slot. They stay on disk for as long as this lives.
#[derive(Debug, Default)]
pub(crate) struct Adapters {
    loras: BTreeMap<String, Vec<Lora>>,
    _held: Vec<FetchedModel>,
}

impl Adapters {
    /// What the handler sees of them.
    pub(crate) fn loras(&self) -> &BTreeMap<String, Vec<Lora>> {
        &self.loras
    }
}

/// Makes the adapters present that a dispatch names, pinned by its `snapshots` (by ref).
///
/// # Errors
/// Invalid when one of them is no adapter; as [`WorkerError::model_unavailable`] when one cannot be had.
///
/// # Cancel safety
/// May be dropped; what came so far may stay on disk.
pub(crate) async fn bring(
    source: &dyn ModelSource,
    models: &[pb::ModelBinding],
    snapshots: &HashMap<String, pb::Snapshot>,
) -> Result<Adapters, WorkerError> {
    let mut adapters = Adapters::default();
    for model in models.iter().filter(|model| !model.loras.is_empty()) {
        let mut loras = Vec::with_capacity(model.loras.len());
        for overlay in &model.loras {
            let reference = &overlay.r#ref;
            let binding = hub(reference).build().map_err(|error| WorkerError::validation(error.to_string()))?;
            let snapshot = snapshots.get(reference);
            let fetched = model_fetch::fetch(source, &binding, snapshot, &NoProgress).await;
            let fetched = fetched.map_err(|error| WorkerError::model_unavailable(reference, error))?;
            let file = inspect(reference.clone(), fetched.dir().to_owned()).await?;
            let weight = effective_weight(reference, overlay.weight).map_err(invalid)?;
            loras.push(Lora { reference: reference.clone(), weight, id: id(reference, snapshot, fetched.dir()), file });
            adapters._held.push(fetched);
        }
        adapters.loras.insert(model.slot.clone(), loras);
    }
    Ok(adapters)
}

/// A directory that came without a digest is told from others by its path: those of a store end in one.
fn id(reference: &str, snapshot: Option<&pb::Snapshot>, dir: &Path) -> String {
    match snapshot {
        Some(snapshot) => format!("{reference}@{}", snapshot.digest),
        None => format!("{reference}@{}", dir.display()),
    }
}

/// The file of the adapter in `dir`, which is one.
async fn inspect(reference: String, dir: PathBuf) -> Result<PathBuf, WorkerError> {
    let looked = Scope::new("adapter").spawn_blocking(move || {
        let file = adapter_file(&reference, &files(&dir)).map_err(invalid)?;
        let broken = || invalid(LoraError::NoFile(reference.clone()));
        let names = tensor_names(&file).map_err(|_| broken())?.map_err(|_| broken())?;
        check_tensors(&reference, names.iter().map(String::as_str)).map_err(invalid)?;
        Ok(file)
    });
    looked.await.unwrap_or_else(|_| Err(WorkerError::retryable("looking at an adapter was interrupted")))
}

fn invalid(error: LoraError) -> WorkerError {
    WorkerError::validation(error.to_string())
}

#[cfg(test)]
mod tests;
