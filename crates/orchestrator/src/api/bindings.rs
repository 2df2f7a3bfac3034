//! Which models a request wants in the slots of its endpoint.

use std::collections::BTreeMap;

use serde::{
    Deserialize, Deserializer, Serialize,
    de::{MapAccess, Visitor, value::MapAccessDeserializer},
};
use utoipa::ToSchema;

use super::{code::Code, error::ApiError};
use crate::request::{LoraChoice, ModelChoice};

/// Most slots one request may bind; endpoints declare a handful.
const SLOTS_MAX: usize = 64;

/// Most adapters of one request, over all its slots (wire contract, section 13).
const LORAS_MAX: usize = 8;

/// Largest scale of an adapter, either way (wire contract, section 13).
const WEIGHT_MAX: f64 = 4.0;

/// What a slot is bound to: a ref, or a ref with adapters.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
#[serde(untagged)]
pub enum ModelEntry {
    /// A model ref.
    Ref(String),
    /// A model ref with adapters.
    Full(ModelBinding),
}

/// A model ref with adapters.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ModelBinding {
    /// The model ref.
    r#ref: String,
    /// Adapters active for this request only, at most 8 over all slots.
    #[serde(default)]
    loras: Vec<LoraBinding>,
}

/// An adapter.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct LoraBinding {
    /// The adapter ref.
    r#ref: String,
    /// Scale from -4 to 4. 1 when left out.
    #[serde(default = "full")]
    weight: f64,
}

fn full() -> f64 {
    1.0
}

impl<'de> Deserialize<'de> for ModelEntry {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;
        impl<'de> Visitor<'de> for Either {
            type Value = ModelEntry;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a model ref or an object with one")
            }

            fn visit_str<E>(self, text: &str) -> Result<ModelEntry, E> {
                Ok(ModelEntry::Ref(text.to_owned()))
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<ModelEntry, A::Error> {
                ModelBinding::deserialize(MapAccessDeserializer::new(map)).map(ModelEntry::Full)
            }
        }
        deserializer.deserialize_any(Either)
    }
}

/// Checks the entries and puts them in the form that is stored.
pub(super) fn choices(entries: BTreeMap<String, ModelEntry>) -> Result<Vec<ModelChoice>, ApiError> {
    let invalid = |message: String| Err(ApiError::new(Code::Invalid, message));
    if entries.len() > SLOTS_MAX {
        return invalid(format!("`models` has {} slots, at most {SLOTS_MAX} are possible", entries.len()));
    }
    let mut loras_left = LORAS_MAX;
    let mut choices = Vec::with_capacity(entries.len());
    for (slot, entry) in entries {
        let binding = match entry {
            ModelEntry::Ref(r#ref) => ModelBinding { r#ref, loras: Vec::new() },
            ModelEntry::Full(binding) => binding,
        };
        if slot.is_empty() || binding.r#ref.is_empty() || binding.loras.iter().any(|lora| lora.r#ref.is_empty()) {
            return invalid(format!("`models` has an empty name or ref at slot `{slot}`"));
        }
        if binding.loras.iter().any(|lora| !lora.weight.is_finite() || lora.weight.abs() > WEIGHT_MAX) {
            return invalid(format!("`models` has an adapter weight beyond {WEIGHT_MAX} at slot `{slot}`"));
        }
        let Some(left) = loras_left.checked_sub(binding.loras.len()) else {
            return invalid(format!("`models` has more than {LORAS_MAX} adapters"));
        };
        loras_left = left;
        let loras = binding.loras.into_iter().map(|lora| LoraChoice { r#ref: lora.r#ref, weight: lora.weight });
        choices.push(ModelChoice { slot, r#ref: binding.r#ref, loras: loras.collect() });
    }
    Ok(choices)
}
