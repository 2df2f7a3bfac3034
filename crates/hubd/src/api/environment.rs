//! Variables of endpoints (Hub contract, section 10): for those who run the hub and start workers, never for jobs.

use std::{collections::BTreeMap, sync::Arc};

use axum::{
    body::Body,
    extract::{Path, RawQuery, State},
    http::StatusCode,
    response::{IntoResponse, Response},
};
use gen_worker_hub::{
    api::{EnvironmentName, EnvironmentNameError, EnvironmentScope, ResolvedEnvironment},
    names::{ReleaseId, Slug, Tag},
};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{
    body::{self, SMALL_MAX},
    caller::{Caller, owner_name},
    error::ApiError,
};
use crate::{
    hub::Hub,
    metadata::{EndpointName, MetadataError, ReleaseLabels, Variable},
};

/// Longest value in bytes. A process takes some 2 MiB of environment in all, and 128 KiB in one.
const VALUE_BYTES_MAX: usize = 64 * 1024;

/// Longest description in bytes.
const DESCRIPTION_BYTES_MAX: usize = 4 * 1024;

/// Most releases, tags and versions that a scope names.
const SCOPE_MAX: usize = 256;

/// What lists show of a value that is hidden.
const MASK: &str = "********";

/// The last part of an address that is no variable.
const RESOLVE: &str = "resolve";

#[derive(Deserialize)]
struct Entry {
    name: Option<String>,
    value: String,
    #[serde(default)]
    sensitive: bool,
    description: Option<String>,
    applies_to: Option<EnvironmentScope>,
}

/// Sets a variable that is not set yet.
pub(crate) async fn create(
    State(hub): State<Arc<Hub>>,
    Path((owner, endpoint)): Path<(String, String)>,
    caller: Caller,
    body: Body,
) -> Result<Response, ApiError> {
    let of = endpoint_of(&owner, &endpoint, &caller)?;
    let mut entry: Entry = body::read(body, SMALL_MAX).await?;
    let name = entry.name.take().ok_or_else(|| ApiError::invalid("invalid_body", "the body has no name"))?;
    let variable = variable(&hub, &of, variable_name(&name)?, entry)?;
    hub.metadata.put_variable(of, variable.clone(), true).await.map_err(of_variable)?;
    body::json(StatusCode::CREATED, &described(&variable, None))
}

/// Sets a variable, whatever it was.
pub(crate) async fn put(
    State(hub): State<Arc<Hub>>,
    Path((owner, endpoint, name)): Path<(String, String, String)>,
    caller: Caller,
    body: Body,
) -> Result<Response, ApiError> {
    let of = endpoint_of(&owner, &endpoint, &caller)?;
    let entry: Entry = body::read(body, SMALL_MAX).await?;
    if entry.name.as_ref().is_some_and(|other| *other != name) {
        return Err(ApiError::invalid("invalid_name", "the body names another variable than the address"));
    }
    let variable = variable(&hub, &of, variable_name(&name)?, entry)?;
    let is_new = hub.metadata.put_variable(of, variable.clone(), false).await.map_err(of_variable)?;
    let status = if is_new { StatusCode::CREATED } else { StatusCode::OK };
    body::json(status, &described(&variable, None))
}

/// All variables. Values of sensitive ones are hidden.
pub(crate) async fn list(
    State(hub): State<Arc<Hub>>,
    Path((owner, endpoint)): Path<(String, String)>,
    caller: Caller,
) -> Result<Response, ApiError> {
    let of = endpoint_of(&owner, &endpoint, &caller)?;
    let mut items = Vec::new();
    for variable in hub.metadata.variables(of.clone()).await? {
        let value = if variable.sensitive { MASK.to_owned() } else { opened(&hub, &of, &variable)? };
        items.push(described(&variable, Some(value)));
    }
    body::json(StatusCode::OK, &json!({"items": items}))
}

/// Takes a variable away.
pub(crate) async fn remove(
    State(hub): State<Arc<Hub>>,
    Path((owner, endpoint, name)): Path<(String, String, String)>,
    caller: Caller,
) -> Result<Response, ApiError> {
    let of = endpoint_of(&owner, &endpoint, &caller)?;
    if !hub.metadata.remove_variable(of, variable_name(&name)?).await? {
        return Err(ApiError::not_found("variable"));
    }
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// The variables of one release, with their values. The query names it by `release_id`. Its tags and its version are those that the
/// hub knows; any number of `tag`, and a `compatibility_version`, of the query are added.
pub(crate) async fn resolve(
    State(hub): State<Arc<Hub>>,
    Path((owner, endpoint, name)): Path<(String, String, String)>,
    RawQuery(query): RawQuery,
    caller: Caller,
) -> Result<Response, ApiError> {
    let of = endpoint_of(&owner, &endpoint, &caller)?;
    if name != RESOLVE {
        return Err(ApiError::not_found("route"));
    }
    let query = query.unwrap_or_default();
    let asked = |wanted: &str| -> Vec<String> {
        let pairs = form_urlencoded::parse(query.as_bytes());
        pairs.filter(|(name, _)| name == wanted).map(|(_, value)| value.into_owned()).collect()
    };
    let (releases, tags, versions) = (asked("release_id"), asked("tag"), asked("compatibility_version"));
    let [release] = releases.as_slice() else {
        return Err(ApiError::invalid("invalid_query", "the query names no release, or several"));
    };
    let known = labels(&hub, &of, release).await?;
    let own = known.iter().flat_map(|known| &known.tags).map(Tag::as_str);
    let tags: Vec<&str> = tags.iter().map(String::as_str).chain(own).collect();
    let own = known.as_ref().and_then(|known| known.compatibility_version.as_deref());
    let given = versions.first().map(String::as_str);
    let covers = |scope: &EnvironmentScope| [own, given].iter().any(|version| scope.covers(&tags, release, *version));
    let mut env = BTreeMap::new();
    for variable in hub.metadata.variables(of.clone()).await? {
        if variable.applies_to.as_ref().is_none_or(covers) {
            env.insert(variable.name.to_string(), opened(&hub, &of, &variable)?);
        }
    }
    body::json(StatusCode::OK, &ResolvedEnvironment { env })
}

/// What the hub knows of a release of this owner. One that was not published here may have any id.
async fn labels(hub: &Hub, of: &EndpointName, release: &str) -> Result<Option<ReleaseLabels>, ApiError> {
    match release.parse::<ReleaseId>() {
        Ok(release) => Ok(hub.metadata.release_labels(of.clone(), release).await?),
        Err(_) => Ok(None),
    }
}

/// The endpoint of an address, for who runs the hub.
fn endpoint_of(owner: &str, endpoint: &str, caller: &Caller) -> Result<EndpointName, ApiError> {
    match caller {
        Caller::Operator => {}
        Caller::Anonymous => {
            return Err(ApiError::new(StatusCode::UNAUTHORIZED, "unauthenticated", "this needs a token"));
        }
        Caller::Job(_) | Caller::Role(_) => {
            let message = "variables are for those who run the hub";
            return Err(ApiError::new(StatusCode::FORBIDDEN, "forbidden", message));
        }
    }
    let slug = endpoint.to_ascii_lowercase().parse::<Slug>().map_err(|_| ApiError::not_found("endpoint"))?;
    Ok(EndpointName { owner: owner_name(owner)?, endpoint: slug.to_string() })
}

fn variable_name(text: &str) -> Result<EnvironmentName, ApiError> {
    text.parse().map_err(|error: EnvironmentNameError| {
        let code = match error {
            EnvironmentNameError::Form => "invalid_name",
            EnvironmentNameError::Reserved => "reserved_name",
        };
        ApiError::invalid(code, error.to_string())
    })
}

fn variable(hub: &Hub, of: &EndpointName, name: EnvironmentName, entry: Entry) -> Result<Variable, ApiError> {
    let Entry { value, sensitive, description, applies_to, .. } = entry;
    if value.len() > VALUE_BYTES_MAX || value.contains('\0') {
        let message = format!("a value has at most {VALUE_BYTES_MAX} bytes, and none of them is zero");
        return Err(ApiError::invalid("invalid_value", message));
    }
    if description.as_ref().is_some_and(|text| text.len() > DESCRIPTION_BYTES_MAX || text.contains('\0')) {
        let message = format!("a description has at most {DESCRIPTION_BYTES_MAX} bytes, and none of them is zero");
        return Err(ApiError::invalid("invalid_description", message));
    }
    // A scope that names nothing is none.
    let applies_to = applies_to.filter(|scope| *scope != EnvironmentScope::default());
    if let Some(EnvironmentScope { tags, release_ids, compatibility_versions }) = &applies_to
        && tags.len() + release_ids.len() + compatibility_versions.len() > SCOPE_MAX
    {
        return Err(ApiError::invalid("invalid_scope", format!("a scope names at most {SCOPE_MAX} releases")));
    }
    let sealed = hub.vault.seal(&place(of, &name), &value).map_err(|error| ApiError::unavailable(&error))?;
    Ok(Variable { name, sealed, sensitive, description, applies_to })
}

/// What the value of a variable is bound to.
fn place(of: &EndpointName, name: &EnvironmentName) -> String {
    format!("{}/{}/{name}", of.owner, of.endpoint)
}

fn opened(hub: &Hub, of: &EndpointName, variable: &Variable) -> Result<String, ApiError> {
    hub.vault.open(&place(of, &variable.name), &variable.sealed).map_err(|error| {
        tracing::warn!(%error, name = %variable.name, "a variable cannot be read");
        let message = format!("the variable {} cannot be read: {error}", variable.name);
        ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, "unreadable_value", message)
    })
}

fn described(variable: &Variable, value: Option<String>) -> Value {
    let mut row = Map::new();
    row.insert("name".to_owned(), json!(variable.name));
    row.insert("sensitive".to_owned(), variable.sensitive.into());
    let more = [
        ("value", value.map(Value::from)),
        ("description", variable.description.clone().map(Value::from)),
        ("applies_to", variable.applies_to.as_ref().map(|scope| json!(scope))),
    ];
    row.extend(more.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))));
    Value::Object(row)
}

fn of_variable(error: MetadataError) -> ApiError {
    match error {
        MetadataError::RefExists => {
            ApiError::new(StatusCode::CONFLICT, "variable_exists", "the endpoint has this variable; PUT changes it")
        }
        MetadataError::Unfit(why) => ApiError::invalid("too_many", why),
        error => ApiError::unavailable(&error),
    }
}
