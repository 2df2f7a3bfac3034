//! The components of a pipeline and what they need besides weights (rules 4.8, 4.10, 4.11). Pure functions.

use std::collections::BTreeMap;

use gen_worker_hub::RepoPath;
use serde_json::Value;

use super::{LegacySelection, Sizes, weights::index_of};
use crate::providers::hugging_face::select::{SelectError, is_safe, is_weight};

/// Components that are left out unless asked for.
const OPTIONAL: [&str; 2] = ["safety_checker", "feature_extractor"];

/// What a pipeline has when nothing says so.
const USUAL: [&str; 8] =
    ["transformer", "unet", "vae", "text_encoder", "text_encoder_2", "tokenizer", "tokenizer_2", "scheduler"];

/// One of these a pipeline has.
const DENOISERS: [&str; 2] = ["transformer", "unet"];

/// Directories that hold no weights, whatever their class is called.
const WEIGHTLESS: [&str; 3] = ["tokenizer", "tokenizer_2", "scheduler"];

/// A tokenizer has one of these.
const TOKENIZER_FILES: [&str; 4] = ["tokenizer.json", "vocab.json", "tokenizer.model", "spiece.model"];

/// Endings of what is no support file (rule 4.10).
const NO_SUPPORT: [&str; 5] = [".bin", ".ckpt", ".onnx", ".onnx_data", ".msgpack"];

/// A directory of a pipeline.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in super::super) struct Component {
    name: String,
    kind: Kind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Weights,
    Tokenizer,
    Scheduler,
}

/// The components that are there. `index` is what is in `model_index.json`, when that is there.
pub(in super::super) fn components(
    listed: &Sizes,
    index: Option<&[u8]>,
    options: &LegacySelection,
) -> Result<Vec<Component>, SelectError> {
    let classes: BTreeMap<String, Value> = match index {
        Some(bytes) => serde_json::from_slice(bytes).map_err(|_| SelectError::Pipeline)?,
        None => BTreeMap::new(),
    };
    let own = || {
        let named = classes.keys().filter(|name| !name.starts_with('_'));
        named.filter(|name| options.optional_components || !OPTIONAL.contains(&name.as_str())).cloned().collect()
    };
    let names: Vec<String> = match index {
        _ if !options.components.is_empty() => options.components.clone(),
        Some(_) => own(),
        None => USUAL.iter().map(|name| (*name).to_owned()).collect(),
    };
    let named = names.into_iter().map(|name| Component { kind: kind(&name, classes.get(&name)), name });
    let there: Vec<_> = named.filter(|component| component.files(listed).next().is_some()).collect();
    let denoises = there.iter().any(|component| DENOISERS.contains(&component.name.as_str()));
    let inferred = index.is_none() && options.components.is_empty();
    if there.is_empty() || (inferred && !denoises) { Err(SelectError::NoComponents) } else { Ok(there) }
}

/// What a component is by its class, `[library, class]`, or else by its name.
fn kind(name: &str, class: Option<&Value>) -> Kind {
    let text = |at: usize| class.and_then(|class| class.get(at)).and_then(Value::as_str).unwrap_or_default();
    match (text(0), text(1)) {
        ("transformers", class) if class.contains("Tokenizer") => Kind::Tokenizer,
        ("diffusers", class) if class.contains("Scheduler") => Kind::Scheduler,
        _ if name == "scheduler" => Kind::Scheduler,
        _ if WEIGHTLESS.contains(&name) => Kind::Tokenizer,
        _ => Kind::Weights,
    }
}

impl Component {
    /// Its directory.
    pub(in super::super) fn name(&self) -> &str {
        &self.name
    }

    /// Whether weights of it are looked for.
    pub(in super::super) fn has_weights(&self) -> bool {
        self.kind == Kind::Weights
    }

    /// All that is in its directory.
    pub(in super::super) fn files<'a>(&'a self, listed: &'a Sizes) -> impl Iterator<Item = &'a RepoPath> {
        let inside =
            |path: &&RepoPath| path.as_str().strip_prefix(&self.name).is_some_and(|rest| rest.starts_with('/'));
        listed.keys().filter(inside)
    }

    /// What it needs besides weights.
    pub(super) fn support(&self, listed: &Sizes) -> Result<Vec<RepoPath>, SelectError> {
        if self.kind == Kind::Tokenizer && !self.files(listed).any(|path| TOKENIZER_FILES.contains(&path.file_name())) {
            return Err(SelectError::Tokenizer { component: self.name.clone() });
        }
        let wanted = |path: &&RepoPath| match self.kind {
            Kind::Weights => is_support(path),
            Kind::Tokenizer | Kind::Scheduler => !is_weight(path),
        };
        Ok(self.files(listed).filter(wanted).cloned().collect())
    }
}

fn is_support(path: &RepoPath) -> bool {
    let text = path.as_str().to_ascii_lowercase();
    let refused = NO_SUPPORT.iter().any(|suffix| text.ends_with(suffix)) || text.contains("openvino");
    !refused && !is_safe(path) && index_of(path).is_none() && !text.ends_with(".index.json")
}
