//! Variables of endpoints.

use futures::FutureExt as _;
use gen_worker_hub::{
    api::{EnvironmentName, EnvironmentScope},
    names::ReleaseId,
};
use tokio_postgres::Row;

use super::{
    PostgresMetadata,
    row::{column, parse, values},
    transaction::{Lock, Transaction},
};
use crate::metadata::{
    Answer, EndpointName, Environments, MetadataError, ReleaseLabels, Variable, environments::VARIABLES_MAX,
    releases::Details,
};

impl Environments for PostgresMetadata {
    fn put_variable(&self, of: EndpointName, variable: Variable, create: bool) -> Answer<'_, bool> {
        self.call("set a variable", (of, variable, create), |on, (of, variable, create)| {
            put(on, of, variable, *create).boxed()
        })
    }

    fn variables(&self, of: EndpointName) -> Answer<'_, Vec<Variable>> {
        self.read("list variables", of, |on, of| list(on, of).boxed())
    }

    fn release_labels(&self, of: EndpointName, release: ReleaseId) -> Answer<'_, Option<ReleaseLabels>> {
        let data = (of, release);
        self.read("read the labels of a release", data, |on, (of, release)| release_labels(on, of, release).boxed())
    }

    fn remove_variable(&self, of: EndpointName, name: EnvironmentName) -> Answer<'_, bool> {
        self.call("remove a variable", (of, name), |on, (of, name)| remove(on, of, name).boxed())
    }
}

async fn list(on: &Transaction, of: &EndpointName) -> Result<Vec<Variable>, MetadataError> {
    let sql = "SELECT name, sealed, sensitive, description, applies_to FROM hub.variables
         WHERE owner = $1 AND endpoint = $2 ORDER BY name";
    let rows = on.rows(sql, values![of.owner.as_str(), of.endpoint.as_str()]).await?;
    rows.iter().map(variable).collect()
}

fn variable(row: &Row) -> Result<Variable, MetadataError> {
    let scope: Option<&str> = column(row, 4)?;
    let corrupt = |error: serde_json::Error| MetadataError::Corrupt { detail: format!("column applies_to: {error}") };
    let applies_to = scope.map(serde_json::from_str::<EnvironmentScope>).transpose().map_err(corrupt)?;
    Ok(Variable {
        name: parse("name", column(row, 0)?)?,
        sealed: column(row, 1)?,
        sensitive: column(row, 2)?,
        description: column(row, 3)?,
        applies_to,
    })
}

async fn release_labels(
    on: &Transaction,
    of: &EndpointName,
    release: &ReleaseId,
) -> Result<Option<ReleaseLabels>, MetadataError> {
    let sql = "SELECT r.project, r.details FROM hub.releases AS r JOIN hub.projects AS p ON p.id = r.project
         WHERE r.id = $1 AND p.tenant = $2";
    let Some(row) = on.row(sql, values![release.as_str(), of.owner.as_str()]).await? else { return Ok(None) };
    let (project, details): (i64, Details) = (column(&row, 0)?, Details::read(column(&row, 1)?)?);
    let sql = "SELECT tag FROM hub.endpoint_tags WHERE release = $1 AND project = $2 AND endpoint = $3 ORDER BY tag";
    let rows = on.rows(sql, values![release.as_str(), project, of.endpoint.as_str()]).await?;
    let tags = rows.iter().map(|row| parse("tag", column(row, 0)?)).collect::<Result<_, _>>()?;
    Ok(Some(ReleaseLabels { tags, compatibility_version: details.compatibility_version() }))
}

async fn put(
    on: &Transaction,
    EndpointName { owner, endpoint }: &EndpointName,
    variable: &Variable,
    create: bool,
) -> Result<bool, MetadataError> {
    let scope = variable.applies_to.as_ref().map(serde_json::to_string).transpose();
    let scope = scope.map_err(|error| MetadataError::Unfit(error.to_string()))?;
    let (name, sealed, description) =
        (variable.name.as_str(), variable.sealed.as_slice(), variable.description.as_deref());
    let (owner, endpoint) = (owner.as_str(), endpoint.as_str());
    // Waits for whoever is about to make the same.
    let sql = "INSERT INTO hub.variables (owner, endpoint, name, sealed, sensitive, description, applies_to)
         VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT DO NOTHING";
    let values = values![owner, endpoint, name, sealed, variable.sensitive, description, scope];
    if on.execute(sql, values).await? == 1 {
        check_count(on, owner, endpoint).await?;
        return Ok(true);
    }
    if create {
        return Err(MetadataError::RefExists);
    }
    let sql = "UPDATE hub.variables SET sealed = $4, sensitive = $5, description = $6, applies_to = $7
         WHERE owner = $1 AND endpoint = $2 AND name = $3";
    on.execute(sql, values).await?;
    Ok(false)
}

/// Refuses one more than an endpoint may have; that one is counted already. Last of all, since others wait for the lock.
async fn check_count(on: &Transaction, owner: &str, endpoint: &str) -> Result<(), MetadataError> {
    on.lock(Lock::Variables(owner, endpoint)).await?;
    let sql = "SELECT count(*) FROM hub.variables WHERE owner = $1 AND endpoint = $2";
    let row = on.row(sql, values![owner, endpoint]).await?;
    let count: i64 = row.map_or(Ok(0), |row| column(&row, 0))?;
    if count > VARIABLES_MAX {
        return Err(MetadataError::Unfit(format!("an endpoint has at most {VARIABLES_MAX} variables")));
    }
    Ok(())
}

async fn remove(on: &Transaction, of: &EndpointName, name: &EnvironmentName) -> Result<bool, MetadataError> {
    let sql = "DELETE FROM hub.variables WHERE owner = $1 AND endpoint = $2 AND name = $3";
    Ok(on.execute(sql, values![of.owner.as_str(), of.endpoint.as_str(), name.as_str()]).await? == 1)
}
