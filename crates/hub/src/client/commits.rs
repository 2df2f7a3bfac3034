//! Commits (Hub contract, section 6). The bytes themselves are sent by the store.

use http::{Method, StatusCode};
use tokio::time::Instant;

use super::{
    error::HubError,
    exchange::{Call, EXCERPT_COMMIT_CHARS, EXCERPT_COMMIT_COMPLETE_CHARS},
    hub_client::HubClient,
    uploads::is_in_progress,
    url::part,
};
use crate::{
    api::{COMMIT_OPERATIONS_MAX, CommitCreate, CommitCreated, CommitFinalized, CompleteRequest},
    model_ref::RepoName,
    names::ServerId,
};

impl HubClient {
    /// Opens a commit to `repo` and learns which files the server wants.
    ///
    /// # Errors
    /// [`HubError::Refused`] before anything is sent, for a commit without operations, with too many, with paths that cannot be
    /// together, or without a token. Others as their class says.
    ///
    /// # Cancel safety
    /// May be dropped; nothing changes before a finalize.
    pub async fn create_commit(&self, repo: &RepoName, commit: &CommitCreate) -> Result<CommitCreated, HubError> {
        const OPERATION: &str = "create of a commit";
        let refused = |why| Err(HubError::Refused { operation: OPERATION, why });
        if self.token().is_none() {
            return refused("there is no token");
        }
        if commit.operations.is_empty() {
            return refused("it changes nothing");
        }
        if commit.operations.len() > COMMIT_OPERATIONS_MAX {
            return refused("it has too many operations");
        }
        if commit.check_paths().is_err() {
            return refused("two of its paths cannot be together");
        }
        let call = self.commit_call(OPERATION, Method::POST, commits(OPERATION, repo)?).json(commit)?.once();
        let reply = self.exchange_again(&call, &self.timing().control_retry).await?;
        if !reply.status.is_success() {
            return Err(call.refused(&reply));
        }
        call.read(&reply, |body| CommitCreated::from_reply(body, commit))
    }

    /// Says that all bytes of one file are there, and waits until the server has verified them.
    ///
    /// # Errors
    /// [`HubError::Unfinished`] when the server is still at it in the end, or cannot be reached; others as their class says.
    ///
    /// # Cancel safety
    /// May be dropped; the server may still complete the upload, which changes nothing yet.
    pub async fn complete_commit_upload(
        &self,
        repo: &RepoName,
        revision: &ServerId,
        upload: &ServerId,
        request: &CompleteRequest,
    ) -> Result<(), HubError> {
        const OPERATION: &str = "complete of an upload of a commit";
        let target = format!("{}/{revision}/uploads/{upload}/complete", commits(OPERATION, repo)?);
        let mut call = self.commit_call(OPERATION, Method::POST, target).json(request)?;
        call.timeout = self.timing().complete;
        call.excerpt_chars = EXCERPT_COMMIT_COMPLETE_CHARS;
        let (poll, since) = (&self.timing().commit_complete_poll, Instant::now());
        loop {
            let result = self.exchange_again(&call, &self.timing().control_retry).await;
            let wait = match &result {
                Ok(reply) if is_in_progress(reply) => poll.wait(0, since.elapsed()),
                Ok(reply) if reply.status.is_success() => return Ok(()),
                Ok(reply) => return Err(call.refused(reply)),
                Err(error) if error.is_network() => {
                    let lost = self.timing().commit_complete_lost;
                    (since.elapsed() + lost <= poll.limit).then_some(lost)
                }
                Err(_) => return result.map(drop),
            };
            match wait {
                Some(wait) => tokio::time::sleep(wait).await,
                None => return Err(HubError::Unfinished { operation: OPERATION, after: poll.limit }),
            }
        }
    }

    /// Makes the commit a checkpoint and moves its tags, and waits until that is done. A finalize that succeeded gives the same
    /// answer again.
    ///
    /// # Errors
    /// [`HubError::Unfinished`] when the server is still at it in the end; others as their class says. None of them gives the
    /// commit up: that is [`HubClient::abort_commit`].
    ///
    /// # Cancel safety
    /// May be dropped; the server may still make the checkpoint.
    pub async fn finalize_commit(&self, repo: &RepoName, revision: &ServerId) -> Result<CommitFinalized, HubError> {
        const OPERATION: &str = "finalize of a commit";
        let target = format!("{}/{revision}/finalize", commits(OPERATION, repo)?);
        let mut call = self.commit_call(OPERATION, Method::POST, target);
        call.body = Some(bytes::Bytes::new());
        let (poll, since) = (&self.timing().finalize_poll, Instant::now());
        let mut polls = 0;
        loop {
            let reply = self.exchange_again(&call, &self.timing().control_retry).await?;
            if reply.status != StatusCode::ACCEPTED {
                let done = reply.status.is_success();
                return if done { call.read(&reply, CommitFinalized::from_reply) } else { Err(call.refused(&reply)) };
            }
            match poll.wait(polls, since.elapsed()) {
                Some(wait) => tokio::time::sleep(wait).await,
                None => return Err(HubError::Unfinished { operation: OPERATION, after: poll.limit }),
            }
            polls += 1;
        }
    }

    /// Gives a commit up. Best effort.
    ///
    /// # Cancel safety
    /// May be dropped.
    pub async fn abort_commit(&self, repo: &RepoName, revision: &ServerId) {
        const OPERATION: &str = "abort of a commit";
        if let Ok(commits) = commits(OPERATION, repo) {
            let mut call = self.commit_call(OPERATION, Method::DELETE, format!("{commits}/{revision}"));
            call.timeout = self.timing().commit_abort;
            let _ = self.exchange(&call).await;
        }
    }

    fn commit_call(&self, operation: &'static str, method: Method, target: String) -> Call<'_> {
        let call = Call::new(operation, method, target, self.timing().commit);
        call.owner(self.owner()).excerpt(EXCERPT_COMMIT_CHARS)
    }
}

fn commits(operation: &'static str, repo: &RepoName) -> Result<String, HubError> {
    let (owner, repo) = (part(operation, repo.owner())?, part(operation, repo.repo())?);
    Ok(format!("/api/v1/repos/{owner}/{repo}/commits"))
}
