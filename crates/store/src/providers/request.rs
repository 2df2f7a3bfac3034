//! What is wanted of a provider. A value.

use gen_worker_hub::{
    Blake3Hash, ModelRef,
    binding::{Binding, Provider},
    model_ref::RefError,
};

/// A model of a provider, and which of its files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModelRequest {
    reference: ModelRef,
    files: Vec<String>,
    /// The reference names a model of Civitai and not a version of it.
    newest: bool,
    /// The reference is of a manifest of version 0.3.
    legacy: bool,
}

/// How far a request may reach.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// What the same request brought before is enough when it is complete; else the provider is asked.
    Cached,
    /// The provider is asked whether there is something newer.
    Fresh,
    /// What the same request brought before, if that is complete. No connection is made.
    Noted,
    /// That, or what another program has put there, which may be another choice of files. No connection is made (rule 3.8).
    Offline,
}

impl ModelRequest {
    /// All of `reference` that its provider's rules select.
    #[must_use]
    pub fn new(reference: ModelRef) -> Self {
        Self { reference, files: Vec::new(), newest: false, legacy: false }
    }

    /// The files that match one of `patterns`, instead (rule 4.6).
    #[must_use]
    pub fn with_files(mut self, patterns: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.files = patterns.into_iter().map(Into::into).collect();
        self
    }

    /// By the rules of version 0.3, whose manifest the reference is of (section 4b).
    #[must_use]
    pub fn with_legacy_rules(self) -> Self {
        Self { legacy: true, ..self }
    }

    /// What an author declared: all of it, also what its wire ref leaves out (rule 2.4).
    ///
    /// # Errors
    /// See [`ModelRef::of_binding`].
    pub fn of_binding(binding: &Binding) -> Result<Self, RefError> {
        let newest = binding.provider() == Provider::Civitai && binding.version().is_empty();
        Ok(Self { reference: ModelRef::of_binding(binding)?, files: binding.files().to_vec(), newest, legacy: false })
    }

    /// Which model.
    #[must_use]
    pub fn reference(&self) -> &ModelRef {
        &self.reference
    }

    /// Patterns of the files; all that are selected when there are none.
    #[must_use]
    pub fn files(&self) -> &[String] {
        &self.files
    }

    /// Whether the reference names a model of Civitai, of which the newest version is wanted (rule 5.6).
    #[must_use]
    pub fn is_newest(&self) -> bool {
        self.newest
    }

    /// Whether the rules of version 0.3 choose.
    pub(crate) fn is_legacy(&self) -> bool {
        self.legacy
    }

    /// What tells it from all other requests: two with one key want the same.
    pub(crate) fn key(&self) -> String {
        let kind = match (self.newest, self.legacy) {
            (true, _) => "model",
            (_, true) => "0.3",
            _ => "",
        };
        let mut text = format!("{}\0{kind}\0{}", self.reference.provider(), self.reference);
        // No pattern has a zero in it that matches anything.
        self.files.iter().for_each(|pattern| text.extend(["\0", pattern]));
        Blake3Hash::of(text.as_bytes()).to_string()
    }
}
