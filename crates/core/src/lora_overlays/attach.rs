//! Which adapters stay attached to one pipeline. An attached one costs memory and nothing else: it is active only in the
//! requests that name it.

use super::{LORAS_MAX, LoraError};

/// Bounds on what is attached to one pipeline.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AttachLimits {
    /// Adapters.
    pub count_max: usize,
    /// Their bytes together.
    pub bytes_max: u64,
}

/// An adapter that is attached, or should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attached {
    /// Its ref and digest, as `ref@digest`: another digest is another adapter.
    pub id: String,
    /// What it takes.
    pub bytes: u64,
}

/// What has to be done before a request, in this order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AttachPlan {
    /// Attached ones that have to go, by index.
    pub detach: Vec<usize>,
    /// Wanted ones that have to be attached, by index.
    pub attach: Vec<usize>,
}

impl Default for AttachLimits {
    fn default() -> Self {
        Self { count_max: 8, bytes_max: 2 << 30 }
    }
}

/// What has to be done before a request that names `wanted`, with `attached` in their order of use, the one used longest
/// ago first. What the request names stays; others go only as far as needed.
///
/// # Errors
/// When the request names more than may be attached at once. Nothing should be done then.
pub fn attach_plan(attached: &[Attached], wanted: &[Attached], limits: AttachLimits) -> Result<AttachPlan, LoraError> {
    let mut all: Vec<&Attached> = Vec::new();
    for lora in wanted {
        if !all.iter().any(|known| known.id == lora.id) {
            all.push(lora);
        }
    }
    let count_max = limits.count_max.min(LORAS_MAX);
    if all.len() > count_max {
        return Err(LoraError::TooMany(all.len()));
    }
    let bytes = all.iter().fold(0_u64, |sum, lora| sum.saturating_add(lora.bytes));
    if let Some(last) = all.last().filter(|_| bytes > limits.bytes_max) {
        return Err(LoraError::TooLarge { reference: last.id.clone(), bytes, max: limits.bytes_max });
    }
    let is_wanted = |id: &str| all.iter().any(|lora| lora.id == id);
    let mut others: Vec<_> = attached.iter().enumerate().filter(|(_, lora)| !is_wanted(&lora.id)).collect();
    let (mut count, mut total) = (all.len() + others.len(), bytes);
    total = others.iter().fold(total, |sum, (_, lora)| sum.saturating_add(lora.bytes));
    others.retain(|(_, lora)| {
        let goes = count > limits.count_max || total > limits.bytes_max;
        if goes {
            count -= 1;
            total = total.saturating_sub(lora.bytes);
        }
        goes
    });
    let is_new = |lora: &&Attached| !attached.iter().any(|known| known.id == lora.id);
    let index = |lora: &Attached| wanted.iter().position(|known| known.id == lora.id);
    Ok(AttachPlan {
        detach: others.into_iter().map(|(index, _)| index).collect(),
        attach: all.into_iter().filter(is_new).filter_map(index).collect(),
    })
}
