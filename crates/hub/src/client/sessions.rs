//! Sessions that several saves of one job share (Hub contract, section 5).

use http::Method;

use super::{error::HubError, exchange::Call, hub_client::HubClient, url::part};
use crate::{
    api::{SessionOpen, SessionOpened},
    model_ref::RepoName,
    names::ServerId,
};

impl HubClient {
    /// Opens a session of `repo`. The repository is made if the token may write it.
    ///
    /// # Errors
    /// See [`HubError`].
    ///
    /// # Cancel safety
    /// May be dropped; the server drops sessions that nobody uses.
    pub async fn open_session(&self, repo: &RepoName, open: &SessionOpen) -> Result<SessionOpened, HubError> {
        const OPERATION: &str = "open of a session";
        let target = revisions(OPERATION, repo)?;
        let call = Call::new(OPERATION, Method::POST, target, self.timing().session_open);
        let call = call.owner(self.owner()).json(open)?;
        let reply = self.exchange_good(&call).await?;
        call.read(&reply, SessionOpened::from_reply)
    }

    /// Ends a session with what was written.
    ///
    /// # Errors
    /// See [`HubError`].
    ///
    /// # Cancel safety
    /// May be dropped; the server may still end the session.
    pub async fn finalize_session(&self, repo: &RepoName, session: &ServerId) -> Result<(), HubError> {
        const OPERATION: &str = "finalize of a session";
        let target = format!("{}/{session}/finalize", revisions(OPERATION, repo)?);
        let mut call = Call::new(OPERATION, Method::POST, target, self.timing().session_finalize).owner(self.owner());
        call.body = Some(bytes::Bytes::new());
        self.exchange_good(&call).await.map(drop)
    }

    /// Gives a session up. Best effort.
    ///
    /// # Cancel safety
    /// May be dropped.
    pub async fn abort_session(&self, repo: &RepoName, session: &ServerId) {
        const OPERATION: &str = "abort of a session";
        if let Ok(revisions) = revisions(OPERATION, repo) {
            let call = Call::new(OPERATION, Method::DELETE, format!("{revisions}/{session}"), self.timing().abort);
            let _ = self.exchange(&call.owner(self.owner())).await;
        }
    }
}

fn revisions(operation: &'static str, repo: &RepoName) -> Result<String, HubError> {
    let (owner, repo) = (part(operation, repo.owner())?, part(operation, repo.repo())?);
    Ok(format!("/api/v1/repos/{owner}/{repo}/revisions"))
}
