//! Renewal of tokens.

use std::sync::Arc;

use anyhow::Result;
use futures::{FutureExt as _, future::BoxFuture};
use gen_worker_hub::{
    BearerToken,
    api::RenewRequest,
    client::HubError,
    token::{Area, ByteLimits, Grant, Right},
};
use gen_worker_hubd::{NotRunning, RunningJobs, Visibility, signing::token_signer};

use crate::server::{SECRET, Server, signed};

/// One request runs: `r1`, in its first attempt, on the worker whose token is its name.
struct OneJob;

impl RunningJobs for OneJob {
    fn check<'a>(
        &'a self,
        worker: &'a BearerToken,
        request: &'a str,
        attempt: u32,
    ) -> BoxFuture<'a, Result<String, NotRunning>> {
        let answer = match (worker.reveal(), request, attempt) {
            ("nobody", _, _) => Err(NotRunning::Token),
            ("other", _, _) => Err(NotRunning::OtherWorker),
            (_, "r1", 1) => Ok(worker.reveal().to_owned()),
            (_, "r1", _) => Err(NotRunning::OtherAttempt),
            (_, "ended", _) => Err(NotRunning::Ended),
            _ => Err(NotRunning::Unknown),
        };
        async move { answer }.boxed()
    }
}

async fn hub(directory: &std::path::Path) -> Result<Server> {
    Server::start_with(directory, |options| {
        options.visibility = Visibility::Private;
        options.jobs = Some(Arc::new(OneJob));
    })
    .await
}

/// What a renewal is refused with.
async fn refused(server: &Server, worker: &str, request: &RenewRequest) -> Result<(u16, String)> {
    let url = format!("{}/v1/worker/capability/renew", server.url);
    let reply = server.http.post(url).bearer_auth(worker).body(serde_json::to_vec(request)?).send().await?;
    let status = reply.status().as_u16();
    let reply: serde_json::Value = serde_json::from_slice(&reply.bytes().await?)?;
    Ok((status, reply["error"]["code"].as_str().unwrap_or_default().to_owned()))
}

#[tokio::test]
async fn h9_3_a_token_of_a_running_job_is_exchanged_for_one_that_ends_later() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let server = hub(directory.path()).await?;
    let grants = [(Area::Media, Right::Write, "acme")];
    let limits = ByteLimits { total: Some(5), per_file: Some(3) };
    let old = server.token("acme", &grants, limits)?;
    let request = RenewRequest { request_id: "r1".to_owned(), attempt: 1, capability_token: old.clone() };
    let client = server.client("acme", &[])?;
    // 9.4: up to five minutes after its end.
    server.clock.advance(3600 + 299);
    let reply = client.renew_capability(&"worker".parse()?, &request).await?;
    let now_s = server.clock.now_s();
    assert_eq!(reply.expires_at_unix, now_s + 3600);
    let check = token_signer(&SECRET)?.check();
    let (before, after) = (check.verify(&old, now_s - 3899)?, check.verify(&reply.capability_token, now_s)?);
    assert_eq!((after.iat, after.exp), (now_s, now_s + 3600));
    assert_eq!((after.grants, after.limits, after.request_id), (before.grants, before.limits, before.request_id));
    server.clock.advance(1);
    assert_eq!(refused(&server, "worker", &request).await?, (401, "invalid_token".to_owned()));
    Ok(())
}

#[tokio::test]
async fn h9_5_a_renewed_token_lives_no_shorter_than_the_one_before() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let server = hub(directory.path()).await?;
    let (begun_s, client) = (server.clock.now_s(), server.client("acme", &[])?);
    server.clock.advance(600);
    // One that covers the deadline of its job lives longer than such work does mostly.
    for (life_s, renewed_s) in [(3 * 3600, 3 * 3600), (900, 3600)] {
        let grants = vec![Grant::new(Area::Media, Right::Write, "acme", "*")?];
        let old = signed("acme", grants, ByteLimits::default(), begun_s, life_s)?;
        let request = RenewRequest { request_id: "r1".to_owned(), attempt: 1, capability_token: old };
        let reply = client.renew_capability(&"worker".parse()?, &request).await?;
        assert_eq!(reply.expires_at_unix, begun_s + 600 + renewed_s);
    }
    Ok(())
}

#[tokio::test]
async fn h9_6_refusals_say_which_they_are() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let server = hub(directory.path()).await?;
    let token = server.token("acme", &[(Area::Media, Right::Write, "acme")], ByteLimits::default())?;
    let ask = async |worker: &str, request: &str, attempt: u32| {
        let capability_token = token.clone();
        refused(&server, worker, &RenewRequest { request_id: request.to_owned(), attempt, capability_token }).await
    };
    for (worker, request, attempt, status, code) in [
        ("nobody", "r1", 1, 401, "unauthenticated"),
        ("other", "r1", 1, 403, "other_worker"),
        ("worker", "r2", 1, 404, "unknown_request"),
        ("worker", "r1", 2, 409, "attempt_mismatch"),
        ("worker", "ended", 1, 409, "not_running"),
    ] {
        assert_eq!(ask(worker, request, attempt).await?, (status, code.to_owned()));
    }
    // The job is this worker's, the token was another one's.
    assert_eq!(ask("thief", "r1", 1).await?, (403, "other_worker".to_owned()));
    let anonymous = server.http.post(format!("{}/v1/worker/capability/renew", server.url)).send().await?;
    assert_eq!(anonymous.status(), 401);
    Ok(())
}

#[tokio::test]
async fn h9_6_a_hub_without_jobs_knows_of_no_request() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let server = Server::start(directory.path(), Visibility::Private).await?;
    let capability_token = server.token("acme", &[(Area::Media, Right::Write, "acme")], ByteLimits::default())?;
    let request = RenewRequest { request_id: "r1".to_owned(), attempt: 1, capability_token };
    let refused = server.client("acme", &[])?.renew_capability(&"worker".parse()?, &request).await;
    assert!(matches!(refused, Err(HubError::NotFound { .. })), "{refused:?}");
    Ok(())
}
