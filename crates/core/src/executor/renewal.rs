//! Renewal of the token of a job that runs on (Hub contract, 9.5). The event loop knows nothing of it: a task for each job
//! whose token says when it ends, gone with the job.

use std::{
    sync::{Arc, Weak},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use futures::future::BoxFuture;
use gen_worker_hub::{
    BearerToken,
    api::RenewReply,
    token::{AfterFailure, Validity, after_failed_renewal, renewal_wait},
};
use gen_worker_proto::Pair;
use parking_lot::Mutex;
use tracing::{debug, warn};

use super::{JobCell, upload::Uploads};

/// A token to renew.
#[derive(Clone)]
pub struct Renewal {
    /// The job that holds it.
    pub pair: Pair,
    /// Base URL of the file API, from the latest HelloAck.
    pub file_base_url: String,
    /// The worker's own token, which says who asks. A secret.
    pub worker_token: String,
    /// The token of the job. A secret.
    pub capability_token: BearerToken,
}

/// Renews tokens of jobs.
pub trait TokenRenewer: Send + Sync {
    /// Asks once for a token with the same grants that ends later.
    ///
    /// # Errors
    /// [`NotRenewed`].
    ///
    /// # Cancel safety
    /// The future may be dropped: the old token stays good until its end.
    fn renew(&self, renewal: Renewal) -> BoxFuture<'static, Result<RenewReply, NotRenewed>>;
}

/// Why a token was not renewed. For the log.
#[derive(Debug, thiserror::Error)]
#[error("the token of a job was not renewed")]
pub struct NotRenewed {
    /// What the server answered, if it did.
    pub status: Option<u16>,
    /// What failed.
    pub source: Box<dyn std::error::Error + Send + Sync>,
}

/// What renews tokens, and in whose name.
pub(crate) struct Renewals {
    renewer: Option<Arc<dyn TokenRenewer>>,
    worker_token: Mutex<Option<String>>,
}

/// When a token began and ends, in seconds since 1970.
#[derive(Clone, Copy)]
struct Life {
    issued_s: u64,
    expires_s: u64,
}

impl Renewals {
    pub(crate) fn new(renewer: Option<Arc<dyn TokenRenewer>>, worker_token: Option<String>) -> Self {
        Self { renewer, worker_token: Mutex::new(worker_token) }
    }

    /// The worker has another token of its own from now on.
    pub(super) fn ask_as(&self, worker_token: &str) {
        *self.worker_token.lock() = Some(worker_token.to_owned());
    }

    /// What keeps the token of `job` good for as long as the job is there; nothing for a token that does not say when it
    /// ends.
    pub(super) fn of(self: &Arc<Self>, job: &Arc<JobCell>, uploads: &Arc<Uploads>) -> Option<BoxFuture<'static, ()>> {
        let renewer = self.renewer.clone()?;
        let token: BearerToken = job.capability_token().parse().ok()?;
        let life = Life::of(&token)?;
        let (renewals, uploads, job) = (self.clone(), uploads.clone(), Arc::downgrade(job));
        Some(Box::pin(async move { renewals.keep(&*renewer, &uploads, &job, token, life).await }))
    }

    async fn keep(
        &self,
        renewer: &dyn TokenRenewer,
        uploads: &Uploads,
        job: &Weak<JobCell>,
        mut token: BearerToken,
        mut life: Life,
    ) {
        loop {
            tokio::time::sleep(renewal_wait(life.issued_s, life.expires_s, now_s())).await;
            let mut failures = 0;
            let reply = loop {
                let (Some(pair), Some(worker_token)) =
                    (job.upgrade().map(|job| job.pair().clone()), self.worker_token.lock().clone())
                else {
                    return;
                };
                let file_base_url = uploads.file_base_url();
                let capability_token = token.clone();
                let asked = renewer.renew(Renewal { pair, file_base_url, worker_token, capability_token }).await;
                let error = match asked {
                    Ok(reply) => break reply,
                    Err(error) => error,
                };
                failures += 1;
                let Some(wait) = tell(job, failures, &error) else { return };
                tokio::time::sleep(wait).await;
            };
            let Some(job) = job.upgrade() else { return };
            token = reply.capability_token;
            life = Life::of(&token).unwrap_or(Life { issued_s: now_s(), expires_s: reply.expires_at_unix });
            job.renewed(&token);
        }
    }
}

impl Life {
    fn of(token: &BearerToken) -> Option<Self> {
        let validity = Validity::read_unverified(token)?;
        Some(Self { issued_s: validity.issued_s.unwrap_or_else(now_s), expires_s: validity.expires_s })
    }
}

/// How long to wait before the next attempt, none when there is none.
fn tell(job: &Weak<JobCell>, failures: usize, error: &NotRenewed) -> Option<Duration> {
    let pair = job.upgrade().map(|job| job.pair().to_string()).unwrap_or_default();
    match after_failed_renewal(failures, error.status) {
        AfterFailure::Again(wait) => {
            debug!(pair, status = error.status, cause = %error.source, "a token was not renewed, trying again");
            Some(wait)
        }
        AfterFailure::Stop => {
            warn!(pair, status = error.status, cause = %error.source, "a token was not renewed: it ends before its job may");
            None
        }
    }
}

fn now_s() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

impl std::fmt::Debug for Renewal {
    /// Neither token.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Renewal").field("pair", &self.pair).finish_non_exhaustive()
    }
}
