//! Set-ups that failed because the files of a model are damaged (model contract, 6.26). Owns no state.

use std::collections::{BTreeMap, HashMap};

use gen_worker_proto::pb;
use tracing::{info, warn};

use crate::{binding::Binding, model_source::ModelSource, sanitize::sanitize, worker_error::WorkerError};

/// Whether files of `models` are damaged, where `error` of a set-up looks as if they were. All of their bytes are looked at;
/// the next fetch brings those that are wrong anew.
pub(crate) async fn explains(
    error: &WorkerError,
    models: &BTreeMap<String, Binding>,
    source: &dyn ModelSource,
    snapshots: &HashMap<String, pb::Snapshot>,
) -> bool {
    if !error.may_be_damage() {
        return false;
    }
    let mut damaged = false;
    for binding in models.values() {
        let reference = binding.wire_ref();
        match source.is_sound(binding, snapshots.get(&reference)).await {
            Ok(true) => {}
            Ok(false) => {
                info!(model = %reference, "a load failed and its files are damaged: they come anew");
                damaged = true;
            }
            // Then the failure is told as it was.
            Err(check) => warn!(model = %reference, cause = %sanitize(&check.to_string()), "a model cannot be checked"),
        }
    }
    damaged
}
