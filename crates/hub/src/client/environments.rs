//! Variables of endpoints, for the launcher of workers and for operators (Hub contract, section 10).

use http::Method;

use super::{
    error::HubError,
    exchange::Call,
    hub_client::HubClient,
    url::{encoded, part},
};
use crate::{
    api::{EnvironmentEntry, EnvironmentName, ReplyError, ResolvedEnvironment},
    names::ServerId,
};

impl HubClient {
    /// Sets a variable of `endpoint` that is not set yet, from the next start of its workers on.
    ///
    /// # Errors
    /// See [`HubError`].
    ///
    /// # Cancel safety
    /// May be dropped; the variable may be set all the same.
    pub async fn add_variable(&self, owner: &str, endpoint: &str, entry: &EnvironmentEntry) -> Result<(), HubError> {
        const OPERATION: &str = "setting of a variable";
        let path = environment(OPERATION, owner, endpoint)?;
        let call = Call::new(OPERATION, Method::POST, path, self.timing().metadata).json(entry)?;
        self.exchange_good(&call).await.map(drop)
    }

    /// Sets a variable of `endpoint`, whatever it was, from the next start of its workers on.
    ///
    /// # Errors
    /// See [`HubError`].
    ///
    /// # Cancel safety
    /// May be dropped; the variable may be set all the same.
    pub async fn put_variable(&self, owner: &str, endpoint: &str, entry: &EnvironmentEntry) -> Result<(), HubError> {
        const OPERATION: &str = "change of a variable";
        let path = format!("{}/{}", environment(OPERATION, owner, endpoint)?, entry.name);
        let call = Call::new(OPERATION, Method::PUT, path, self.timing().metadata).json(entry)?;
        self.exchange_good(&call).await.map(drop)
    }

    /// Takes a variable of `endpoint` away.
    ///
    /// # Errors
    /// See [`HubError`].
    ///
    /// # Cancel safety
    /// May be dropped; the variable may be gone all the same.
    pub async fn remove_variable(&self, owner: &str, endpoint: &str, name: &EnvironmentName) -> Result<(), HubError> {
        const OPERATION: &str = "removal of a variable";
        let path = format!("{}/{name}", environment(OPERATION, owner, endpoint)?);
        self.exchange_good(&Call::new(OPERATION, Method::DELETE, path, self.timing().metadata)).await.map(drop)
    }

    /// The variables of one release, values included. Operators and launchers may ask.
    ///
    /// # Errors
    /// See [`HubError`].
    ///
    /// # Cancel safety
    /// May be dropped.
    pub async fn environment(
        &self,
        owner: &str,
        endpoint: &str,
        release: &ServerId,
    ) -> Result<ResolvedEnvironment, HubError> {
        const OPERATION: &str = "read of variables";
        let path = environment(OPERATION, owner, endpoint)?;
        let target = format!("{path}/resolve?release_id={}", encoded(release.as_str()));
        let call = Call::new(OPERATION, Method::GET, target, self.timing().metadata);
        let reply = self.exchange_good(&call).await?;
        call.read(&reply, |body| serde_json::from_slice(body).map_err(ReplyError::from))
    }
}

fn environment(operation: &'static str, owner: &str, endpoint: &str) -> Result<String, HubError> {
    Ok(format!("/api/v1/endpoints/{}/{}/env", part(operation, owner)?, part(operation, endpoint)?))
}
