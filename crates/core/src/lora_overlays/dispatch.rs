//! The adapters of a dispatch, as far as it can be judged without their files.

use gen_worker_proto::pb;

use super::{LORAS_MAX, LoraError, effective_weight};

/// Checks the adapters that a dispatch names (wire contract, section 13).
///
/// # Errors
/// The first thing that is wrong.
pub(crate) fn check_dispatch(models: &[pb::ModelBinding]) -> Result<(), LoraError> {
    let count = models.iter().map(|model| model.loras.len()).sum();
    if count > LORAS_MAX {
        return Err(LoraError::TooMany(count));
    }
    for model in models {
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
