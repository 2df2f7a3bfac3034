//! How a checkpoint that was quantized by a library is loaded again: what that library has to be told. Pure but for one look
//! at a file.

use std::{collections::BTreeMap, fs::File, io::Read as _, path::Path};

use serde::Deserialize;
use serde_json::{Value, json};

/// Largest configuration that is read: they have some kilobytes.
const CONFIG_BYTES_MAX: u64 = 4 << 20;

/// Attributes of a checkpoint.
const LIBRARY: &str = "quant_library";
const RECIPE: &str = "quant_recipe";
const COMPUTE: &str = "compute_dtype";
const DOUBLE: &str = "double_quant";

/// What a loader that knows quantized checkpoints has to do.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct QuantizationPlan {
    /// The library that has to be there before anything is loaded: it brings the types of the tensors.
    pub needs: Option<&'static str>,
    /// The configuration that the files lack.
    pub config: Option<Value>,
}

/// A configuration of a model, as far as it concerns quantization.
#[derive(Deserialize)]
struct Configured {
    quantization_config: Option<Value>,
}

impl QuantizationPlan {
    /// What follows from the attributes of a checkpoint. Where the files already have a configuration, that one counts.
    #[must_use]
    pub fn of(attributes: &BTreeMap<String, String>, configured: bool) -> Self {
        let attribute = |name: &str| attributes.get(name).map(|value| value.trim().to_lowercase()).unwrap_or_default();
        match attribute(LIBRARY).as_str() {
            "torchao" => Self { needs: Some("torchao"), config: None },
            "bitsandbytes" => {
                let (recipe, compute, double) = (attribute(RECIPE), attribute(COMPUTE), attribute(DOUBLE));
                let config = (!configured).then(|| bitsandbytes(&recipe, &compute, &double)).flatten();
                Self { needs: Some("bitsandbytes"), config }
            }
            _ => Self::default(),
        }
    }

    /// Whether the configuration at `path` already says how the model is quantized.
    pub(crate) fn stands_in(path: &Path) -> bool {
        let mut text = Vec::new();
        let read = File::open(path).and_then(|file| file.take(CONFIG_BYTES_MAX).read_to_end(&mut text));
        let parsed = read.ok().and_then(|_| serde_json::from_slice::<Configured>(&text).ok());
        parsed.is_some_and(|config| config.quantization_config.is_some())
    }
}

/// The configuration of a recipe; none for one that is not known.
fn bitsandbytes(recipe: &str, compute: &str, double: &str) -> Option<Value> {
    let compute = match compute {
        "fp16" | "float16" => "float16",
        "fp32" | "float32" => "float32",
        _ => "bfloat16",
    };
    match recipe {
        "nf4" | "fp4" => Some(json!({
            "quant_method": "bitsandbytes",
            "load_in_4bit": true,
            "bnb_4bit_quant_type": recipe,
            "bnb_4bit_compute_dtype": compute,
            "bnb_4bit_use_double_quant": matches!(double, "1" | "true" | "yes"),
        })),
        "int8" => Some(json!({ "quant_method": "bitsandbytes", "load_in_8bit": true })),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
