//! The sessions of one job (Hub contract, 5.2). Owns which are open.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use tokio::sync::OnceCell;

use super::{error::HubError, hub_client::HubClient, uploads::UploadTarget};
use crate::{
    api::{RepoFields, SessionOpen},
    model_ref::RepoName,
    names::ServerId,
};

/// Sessions of one job. Each stays open at the hub for a day; a job saves to a handful of repositories.
const SESSIONS_MAX: usize = 64;

/// A session that is being opened or is open.
type Opening = Arc<OnceCell<ServerId>>;

/// Where one job saves files of repositories: one session for each kind and repository, which is opened when the first file goes
/// there and takes all later ones.
#[derive(Debug)]
pub struct JobSessions {
    client: HubClient,
    job_id: Option<String>,
    open: Mutex<HashMap<(String, RepoName), Opening>>,
}

impl JobSessions {
    /// None is open yet.
    #[must_use]
    pub fn new(client: HubClient, job_id: Option<String>) -> Self {
        Self { client, job_id, open: Mutex::default() }
    }

    /// Where files of `repo` go; `fields` say what the repository is, and count with the first call alone. Who calls while the
    /// session is being opened waits for it; after an open that failed the next call opens it anew.
    ///
    /// # Errors
    /// [`HubError::Refused`] when the job has too many sessions; those of [`HubClient::open_session`].
    ///
    /// # Cancel safety
    /// May be dropped: another caller that waits opens the session instead.
    pub async fn target(&self, repo: &RepoName, fields: &RepoFields) -> Result<UploadTarget, HubError> {
        // Names of repositories have no case (1.8).
        let repo = repo.to_lowercase();
        let opening = self.opening(&fields.kind, &repo)?;
        let session = opening.get_or_try_init(async || {
            let open = SessionOpen { job_id: self.job_id.clone(), repo: fields.clone() };
            self.client.open_session(&repo, &open).await.map(|opened| opened.session_id)
        });
        let session = session.await?.clone();
        Ok(UploadTarget::Revision { repo, session })
    }

    fn opening(&self, kind: &str, repo: &RepoName) -> Result<Opening, HubError> {
        // Nothing panics while it is held.
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (kind.to_owned(), repo.clone());
        if open.len() >= SESSIONS_MAX && !open.contains_key(&key) {
            let why = "the job has too many sessions";
            return Err(HubError::Refused { operation: "open of a session", why });
        }
        Ok(open.entry(key).or_default().clone())
    }
}
