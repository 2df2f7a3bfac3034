//! Bindings while they are written down, and what may be wrong with them.

use std::fmt;

use super::{Binding, DEFAULT_TAG, Fields, Provider};

/// A binding being written down. Nothing is checked before [`BindingBuilder::build`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use = "a builder does nothing until it is declared as a slot"]
pub struct BindingBuilder {
    provider: Provider,
    fields: Fields,
    misplaced: Option<&'static str>,
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
