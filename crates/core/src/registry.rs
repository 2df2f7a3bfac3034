//! All functions of a program, checked together.

use std::{collections::BTreeMap, sync::Arc};

use gen_worker_proto::{FunctionName, slug};

use crate::{
    decl_error::{DeclCode, DeclError, DeclErrors},
    endpoint::{EndpointDecl, linked_endpoints},
    function::Function,
};

mod builder;
mod check;

pub use builder::RegistryBuilder;

/// The functions of a program, sorted by routable name. Immutable; cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Registry {
    functions: Arc<[Arc<Function>]>,
    by_name: Arc<BTreeMap<FunctionName, usize>>,
}

impl Registry {
    /// Every endpoint linked into the program.
    ///
    /// # Errors
    /// Everything that is wrong with any of them.
    pub fn collect() -> Result<Self, DeclErrors> {
        Self::from_decls(linked_endpoints())
    }

    /// A registry put together by hand: for tests, and for programs that embed a worker.
    pub fn builder() -> RegistryBuilder {
        RegistryBuilder::default()
    }

    /// Checks declarations and makes functions of them.
    ///
    /// # Errors
    /// Everything that is wrong with any of them.
    pub fn from_decls(decls: Vec<EndpointDecl>) -> Result<Self, DeclErrors> {
        let mut errors = Vec::new();
        let mut functions: Vec<_> = decls.into_iter().flat_map(|decl| check::endpoint(decl, &mut errors)).collect();
        functions.sort_by(|a, b| (&a.name, a.module, a.method).cmp(&(&b.name, b.module, b.method)));
        for pair in functions.windows(2) {
            if let [first, second] = pair
                && first.name == second.name
            {
                errors.push(DeclError {
                    code: DeclCode::DuplicateName,
                    endpoint: second.label(),
                    detail: format!("{} already has the name {:?}", first.label(), first.name.as_str()),
                });
            }
        }
        DeclErrors::check(errors)?;
        let by_name = functions.iter().enumerate().map(|(at, function)| (function.name.clone(), at)).collect();
        Ok(Self { functions: functions.into_iter().map(Arc::new).collect(), by_name: Arc::new(by_name) })
    }

    /// The function routed as `name`; the spelling before it was made a slug works too.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Arc<Function>> {
        // Names on the wire are slugs already; only people write other spellings.
        let at = self.by_name.get(name).or_else(|| self.by_name.get(slug(name).as_str()))?;
        self.functions.get(*at)
    }

    /// All functions, sorted by routable name.
    #[must_use]
    pub fn functions(&self) -> &[Arc<Function>] {
        &self.functions
    }

    /// Whether there is no function.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.functions.is_empty()
    }
}

#[cfg(test)]
mod tests;
