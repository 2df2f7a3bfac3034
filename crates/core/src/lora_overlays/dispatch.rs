//! The adapters of a dispatch, as far as it can be judged without their files.

use std::collections::BTreeMap;

use gen_worker_proto::pb;

use super::{LORAS_MAX, LoraError, effective_weight};
use crate::Binding;

/// Checks the adapters that a dispatch names for a function with these slots (wire contract, section 13).
///
/// # Errors
/// The first thing that is wrong.
pub(crate) fn check_dispatch(models: &[pb::ModelBinding], slots: &BTreeMap<String, Binding>) -> Result<(), LoraError> {
    let count = models.iter().map(|model| model.loras.len()).sum();
    if count > LORAS_MAX {
        return Err(LoraError::TooMany(count));
    }
    for model in models.iter().filter(|model| !model.loras.is_empty()) {
        if !slots.get(&model.slot).is_some_and(Binding::allows_lora) {
            return Err(LoraError::NoPlace(model.slot.clone()));
        }
        for (at, lora) in model.loras.iter().enumerate() {
            if lora.r#ref.is_empty() {
                return Err(LoraError::Unnamed(model.slot.clone()));
            }
            if model.loras.iter().take(at).any(|earlier| earlier.r#ref == lora.r#ref) {
                return Err(LoraError::Twice(lora.r#ref.clone()));
            }
            effective_weight(&lora.r#ref, lora.weight)?;
        }
    }
    Ok(())
}
