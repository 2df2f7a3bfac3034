//! What a model slot is bound to: one repository of one provider.
//!
//! An author writes `hf("owner/repo").dtype(Bf16)`; [`BindingBuilder::build`] checks and normalises it once, and a
//! [`Binding`] is immutable after that.

mod builder;
mod dtype;
mod provider;

pub use builder::{BindingBuilder, BindingError, civitai, hf, hub, modelscope};
pub use dtype::Dtype;
pub use provider::Provider;

use crate::names::Flavor;

/// Tag a Hub binding has when none is named; it is left out of the wire ref. A ref that names none means another,
/// [`crate::model_ref::DEFAULT_TAG`].
const DEFAULT_TAG: &str = "prod";

/// A checked binding. Equal by value.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Binding {
    provider: Provider,
    fields: Fields,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct Fields {
    reference: String,
    tag: String,
    flavor: String,
    revision: String,
    dtype: String,
    subfolder: String,
    version: String,
    storage_dtype: String,
    files: Vec<String>,
    allow_lora: bool,
}

impl Binding {
    /// Where the model comes from.
    #[must_use]
    pub fn provider(&self) -> Provider {
        self.provider
    }

    /// The repository, without tag, flavor or revision.
    #[must_use]
    pub fn reference(&self) -> &str {
        &self.fields.reference
    }

    /// How the model is named on the wire. Opaque there: two refs are the same model only if they are the same
    /// text. Of everything else only Hub tag and flavor and the Hugging Face revision enter it.
    #[must_use]
    pub fn wire_ref(&self) -> String {
        let Self { provider, fields } = self;
        let mut text = fields.reference.clone();
        let mut append = |mark: char, part: &str| {
            if !part.is_empty() {
                text.push(mark);
                text.push_str(part);
            }
        };
        match provider {
            Provider::Hub => {
                append(':', if fields.tag == DEFAULT_TAG { "" } else { &fields.tag });
                append('#', &fields.flavor);
            }
            Provider::HuggingFace => append('@', &fields.revision),
            Provider::Civitai | Provider::ModelScope => {}
        }
        text
    }

    /// The same model in the flavor that the wire ref `resolved` names. None where that names more than another flavor
    /// of the same repository and tag, or nothing that can be; only hub models have flavors.
    #[must_use]
    pub fn resolved(&self, resolved: &str) -> Option<Self> {
        let own = self.wire_ref();
        let base = own.split_once('#').map_or(own.as_str(), |(base, _)| base);
        let (named, flavor) = match resolved.split_once('#') {
            // What follows a question mark is none of the model's.
            Some((named, flavor)) => (named, flavor.split('?').next()?),
            None => (resolved, ""),
        };
        let flavor = flavor.to_ascii_lowercase();
        let usable = !resolved.contains('#') || flavor.parse::<Flavor>().is_ok();
        let same = self.provider == Provider::Hub && named == base && usable;
        same.then(|| Self { provider: self.provider, fields: Fields { flavor, ..self.fields.clone() } })
    }

    /// Hub tag; empty for other providers.
    #[must_use]
    pub fn tag(&self) -> &str {
        &self.fields.tag
    }

    /// Hub flavor; may be empty.
    #[must_use]
    pub fn flavor(&self) -> &str {
        &self.fields.flavor
    }

    /// Commit or branch; may be empty.
    #[must_use]
    pub fn revision(&self) -> &str {
        &self.fields.revision
    }

    /// Number format to load in; may be empty.
    #[must_use]
    pub fn dtype(&self) -> &str {
        &self.fields.dtype
    }

    /// Directory inside the repository; may be empty.
    #[must_use]
    pub fn subfolder(&self) -> &str {
        &self.fields.subfolder
    }

    /// Civitai version id; may be empty.
    #[must_use]
    pub fn version(&self) -> &str {
        &self.fields.version
    }

    /// Number format that weights are held in between layers: empty or `fp8`.
    #[must_use]
    pub fn storage_dtype(&self) -> &str {
        &self.fields.storage_dtype
    }

    /// Patterns of the files to fetch; all when empty.
    #[must_use]
    pub fn files(&self) -> &[String] {
        &self.fields.files
    }

    /// Whether requests may attach adapters to this slot.
    #[must_use]
    pub fn allows_lora(&self) -> bool {
        self.fields.allow_lora
    }
}

#[cfg(test)]
mod tests;
