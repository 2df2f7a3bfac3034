//! Variables of endpoints.

use gen_worker_hub::{
    api::{EnvironmentName, EnvironmentScope},
    names::ReleaseId,
};
use rusqlite::{Connection, OptionalExtension as _, Row, params};

use super::{SqliteMetadata, row::parse};
use crate::metadata::{
    Answer, EndpointName, Environments, MetadataError, ReleaseLabels, Variable, environments::VARIABLES_MAX,
    releases::Details,
};

impl Environments for SqliteMetadata {
    fn put_variable(&self, of: EndpointName, variable: Variable, create: bool) -> Answer<'_, bool> {
        self.call("set a variable", move |on| put(on, &of, &variable, create))
    }

    fn variables(&self, of: EndpointName) -> Answer<'_, Vec<Variable>> {
        self.read("list variables", move |on| {
            let mut list = on.prepare_cached(
                "SELECT name, sealed, sensitive, description, applies_to FROM variables
                 WHERE owner = ?1 AND endpoint = ?2 ORDER BY name",
            )?;
            let rows = list.query_map([&of.owner, &of.endpoint], |row| Ok(variable(row)))?;
            rows.map(|row| row?).collect()
        })
    }

    fn release_labels(&self, of: EndpointName, release: ReleaseId) -> Answer<'_, Option<ReleaseLabels>> {
        self.read("read the labels of a release", move |on| release_labels(on, &of, &release))
    }

    fn remove_variable(&self, of: EndpointName, name: EnvironmentName) -> Answer<'_, bool> {
        self.call("remove a variable", move |on| {
            let mut remove =
                on.prepare_cached("DELETE FROM variables WHERE owner = ?1 AND endpoint = ?2 AND name = ?3")?;
            Ok(remove.execute([of.owner.as_str(), of.endpoint.as_str(), name.as_str()])? == 1)
        })
    }
}

fn variable(row: &Row<'_>) -> Result<Variable, MetadataError> {
    let scope: Option<String> = row.get(4)?;
    let corrupt = |error: serde_json::Error| MetadataError::Corrupt { detail: format!("column applies_to: {error}") };
    let applies_to = scope.map(|text| serde_json::from_str::<EnvironmentScope>(&text)).transpose().map_err(corrupt)?;
    Ok(Variable {
        name: parse("name", &row.get::<_, String>(0)?)?,
        sealed: row.get(1)?,
        sensitive: row.get(2)?,
        description: row.get(3)?,
        applies_to,
    })
}

fn release_labels(
    on: &Connection,
    of: &EndpointName,
    release: &ReleaseId,
) -> Result<Option<ReleaseLabels>, MetadataError> {
    let mut find = on.prepare_cached(
        "SELECT r.project, r.details FROM releases AS r JOIN projects AS p ON p.id = r.project
         WHERE r.id = ?1 AND p.tenant = ?2",
    )?;
    let row = |row: &Row<'_>| Ok((row.get::<_, i64>(0)?, row.get::<_, String>(1)?));
    let found = find.query_row([release.as_str(), &of.owner], row).optional()?;
    let Some((project, details)) = found else { return Ok(None) };
    let mut list = on.prepare_cached(
        "SELECT tag FROM endpoint_tags WHERE release = ?1 AND project = ?2 AND endpoint = ?3 ORDER BY tag",
    )?;
    let rows = list.query_map(params![release.as_str(), project, of.endpoint], |row| row.get::<_, String>(0))?;
    let tags = rows.map(|tag| parse("tag", &tag?)).collect::<Result<_, MetadataError>>()?;
    Ok(Some(ReleaseLabels { tags, compatibility_version: Details::read(&details)?.compatibility_version() }))
}

fn put(on: &Connection, of: &EndpointName, variable: &Variable, create: bool) -> Result<bool, MetadataError> {
    let EndpointName { owner, endpoint } = of;
    let name = variable.name.as_str();
    let mut find =
        on.prepare_cached("SELECT EXISTS (SELECT 1 FROM variables WHERE owner = ?1 AND endpoint = ?2 AND name = ?3)")?;
    let is_there: bool = find.query_row([owner, endpoint, name], |row| row.get(0))?;
    if is_there && create {
        return Err(MetadataError::RefExists);
    }
    let mut count = on.prepare_cached("SELECT count(*) FROM variables WHERE owner = ?1 AND endpoint = ?2")?;
    if !is_there && count.query_row([owner, endpoint], |row| row.get::<_, i64>(0))? >= VARIABLES_MAX {
        return Err(MetadataError::Unfit(format!("an endpoint has at most {VARIABLES_MAX} variables")));
    }
    let scope = variable.applies_to.as_ref().map(serde_json::to_string).transpose();
    let scope = scope.map_err(|error| MetadataError::Unfit(error.to_string()))?;
    let mut put = on.prepare_cached(
        "INSERT OR REPLACE INTO variables (owner, endpoint, name, sealed, sensitive, description, applies_to)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
    )?;
    put.execute(params![owner, endpoint, name, variable.sealed, variable.sensitive, variable.description, scope])?;
    Ok(!is_there)
}
