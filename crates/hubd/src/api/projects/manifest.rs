//! The manifest of a release: which endpoints it has.

use std::collections::BTreeMap;

use gen_worker_hub::names::Slug;
use serde::Deserialize;

use crate::api::error::ApiError;

/// Most functions of one release.
const FUNCTIONS_MAX: usize = 1_024;

/// What is looked at; the rest is for workers.
#[derive(Deserialize)]
struct Manifest {
    functions: Vec<Function>,
}

#[derive(Deserialize)]
struct Function {
    name: String,
}

/// The endpoints of a manifest: the slugs of its functions, in their order.
pub(super) fn endpoints(manifest: &str) -> Result<Vec<Slug>, ApiError> {
    let invalid = |message: String| ApiError::invalid("invalid_manifest", message);
    let Manifest { functions } = serde_json::from_str(manifest).map_err(|error| invalid(error.to_string()))?;
    if functions.len() > FUNCTIONS_MAX {
        return Err(invalid(format!("a release has at most {FUNCTIONS_MAX} functions")));
    }
    let (mut seen, mut endpoints) = (BTreeMap::new(), Vec::with_capacity(functions.len()));
    for Function { name } in functions {
        let slug = Slug::of(&name).map_err(|error| invalid(format!("function {name:?}: {error}")))?;
        if let Some(first) = seen.insert(slug.clone(), name.clone()) {
            let message = format!("functions {first:?} and {name:?} are both called {slug} in addresses");
            return Err(ApiError::invalid("slug_collision", message).with("endpoint", slug.as_str().into()));
        }
        endpoints.push(slug);
    }
    Ok(endpoints)
}
