//! What a model slot is bound to: one repository of one provider.
//!
//! An author writes `hf("owner/repo").dtype(Bf16)`; [`BindingBuilder::build`] checks and normalises it once, and a
//! [`Binding`] is immutable after that.

use std::fmt;

mod dtype;
mod provider;

pub use dtype::Dtype;
pub use provider::Provider;

/// Tag a Hub binding has when none is named; it is left out of the wire ref.
const DEFAULT_TAG: &str = "prod";

/// A checked binding. Equal by value.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Binding {
    provider: Provider,
    fields: Fields,
}

/// A binding being written down. Nothing is checked before [`BindingBuilder::build`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use = "a builder does nothing until it is declared as a slot"]
pub struct BindingBuilder {
    provider: Provider,
    fields: Fields,
    misplaced: Option<&'static str>,
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

/// Why a binding cannot exist.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BindingError {
    /// No ref at all.
    #[error("{0} binding has an empty ref")]
    EmptyRef(Provider),
    /// The provider names models `owner/repo`.
    #[error("{provider} ref {reference:?} is not of the form owner/repo")]
    NoOwner {
        /// Which provider.
        provider: Provider,
        /// The ref as written.
        reference: String,
    },
    /// The only storage format is fp8.
    #[error("storage dtype {0:?} is neither empty nor \"fp8\"")]
    StorageDtype(String),
    /// The provider has no such property.
    #[error("a {provider} binding has no {field}")]
    Misplaced {
        /// Which provider.
        provider: Provider,
        /// The property.
        field: &'static str,
    },
}

/// A model of the pool's hub.
pub fn hub(reference: impl Into<String>) -> BindingBuilder {
    BindingBuilder::new(Provider::Hub, reference.into())
}

/// A model of Hugging Face.
pub fn hf(reference: impl Into<String>) -> BindingBuilder {
    BindingBuilder::new(Provider::HuggingFace, reference.into())
}

/// A model of Civitai, by its model id.
pub fn civitai(model_id: impl fmt::Display) -> BindingBuilder {
    BindingBuilder::new(Provider::Civitai, model_id.to_string())
}

/// A model of ModelScope.
pub fn modelscope(reference: impl Into<String>) -> BindingBuilder {
    BindingBuilder::new(Provider::ModelScope, reference.into())
}

impl BindingBuilder {
    fn new(provider: Provider, reference: String) -> Self {
        let fields = Fields { reference, ..Fields::default() };
        Self { provider, fields, misplaced: None }
    }

    /// Tag within the hub repository; `prod` when blank. Hub only.
    pub fn tag(mut self, tag: impl Into<String>) -> Self {
        self.fields.tag = tag.into();
        self.only(&[Provider::Hub], "tag")
    }

    /// Flavor within the tag, for example `fp8`. Hub only.
    pub fn flavor(mut self, flavor: impl Into<String>) -> Self {
        self.fields.flavor = flavor.into();
        self.only(&[Provider::Hub], "flavor")
    }

    /// Commit or branch. Hugging Face and ModelScope only.
    pub fn revision(mut self, revision: impl Into<String>) -> Self {
        self.fields.revision = revision.into();
        self.only(&[Provider::HuggingFace, Provider::ModelScope], "revision")
    }

    /// Number format to load in. Hugging Face only.
    pub fn dtype(mut self, dtype: impl Into<String>) -> Self {
        self.fields.dtype = dtype.into();
        self.only(&[Provider::HuggingFace], "dtype")
    }

    /// Directory inside the repository. Hugging Face only.
    pub fn subfolder(mut self, subfolder: impl Into<String>) -> Self {
        self.fields.subfolder = subfolder.into();
        self.only(&[Provider::HuggingFace], "subfolder")
    }

    /// Patterns of the files to fetch; all when empty. Hugging Face and ModelScope only.
    pub fn files<I: IntoIterator<Item: Into<String>>>(mut self, patterns: I) -> Self {
        self.fields.files = patterns.into_iter().map(Into::into).collect();
        self.only(&[Provider::HuggingFace, Provider::ModelScope], "files")
    }

    /// Version id. Civitai only.
    pub fn version(mut self, version: impl fmt::Display) -> Self {
        self.fields.version = version.to_string();
        self.only(&[Provider::Civitai], "version")
    }

    /// Number format that weights are held in between layers: empty or `fp8`. Hub and Hugging Face only.
    pub fn storage_dtype(mut self, dtype: impl Into<String>) -> Self {
        self.fields.storage_dtype = dtype.into();
        self.only(&[Provider::Hub, Provider::HuggingFace], "storage_dtype")
    }

    /// Lets requests attach adapters to this slot. Hub and Hugging Face only.
    pub fn allow_lora(mut self) -> Self {
        self.fields.allow_lora = true;
        self.only(&[Provider::Hub, Provider::HuggingFace], "allow_lora")
    }

    /// Checks and normalises.
    ///
    /// # Errors
    /// See [`BindingError`].
    pub fn build(self) -> Result<Binding, BindingError> {
        let Self { provider, mut fields, misplaced } = self;
        if let Some(field) = misplaced {
            return Err(BindingError::Misplaced { provider, field });
        }
        fields.normalise();
        if fields.reference.is_empty() {
            return Err(BindingError::EmptyRef(provider));
        }
        if matches!(provider, Provider::HuggingFace | Provider::ModelScope) && !fields.reference.contains('/') {
            return Err(BindingError::NoOwner { provider, reference: fields.reference });
        }
        if !matches!(fields.storage_dtype.as_str(), "" | "fp8") {
            return Err(BindingError::StorageDtype(fields.storage_dtype));
        }
        if provider == Provider::Hub && fields.tag.is_empty() {
            DEFAULT_TAG.clone_into(&mut fields.tag);
        }
        Ok(Binding { provider, fields })
    }

    fn only(mut self, providers: &[Provider], field: &'static str) -> Self {
        if !providers.contains(&self.provider) {
            self.misplaced.get_or_insert(field);
        }
        self
    }
}

impl Fields {
    fn normalise(&mut self) {
        let texts = [
            &mut self.reference,
            &mut self.tag,
            &mut self.flavor,
            &mut self.revision,
            &mut self.dtype,
            &mut self.subfolder,
            &mut self.version,
            &mut self.storage_dtype,
        ];
        for text in texts {
            *text = text.trim().to_owned();
        }
        self.storage_dtype.make_ascii_lowercase();
        self.files = self.files.iter().map(|file| file.trim().to_owned()).filter(|file| !file.is_empty()).collect();
    }
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
