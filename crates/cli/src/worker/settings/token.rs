//! The worker's token, and how it is checked before it is used.

use std::{sync::Arc, time::Duration};

use gen_worker_core::WorkerOptions;
use tracing::warn;

use crate::{
    env::{Environment, names},
    exit::{Failure, chain},
    token_check::{Expected, Fetch, JwksCheck, KeySource, PushedTokens},
};

/// How long fetched keys are used unless told otherwise (section 14 of the wire contract).
const DEFAULT_TTL: Duration = Duration::from_secs(300);

/// The token, under its older name first.
pub(super) fn token(env: &Environment) -> Result<Option<String>, Failure> {
    let (old, modern) = (env.text(&names::AUTH_TOKEN)?, env.text(&names::WORKER_JWT)?);
    let Some((used, token)) = env.text_of_first(&[&names::AUTH_TOKEN, &names::WORKER_JWT])? else { return Ok(None) };
    if old.is_some() && modern.is_some() && old != modern {
        warn!("{} and {} differ; using {}", names::AUTH_TOKEN.name, names::WORKER_JWT.name, used.name);
    }
    Ok(Some(token.to_owned()))
}

/// The check that the settings ask for.
///
/// # Errors
/// A setting that cannot be (exit 2), or no token that could be checked (exit 1).
pub(in crate::worker) fn check(options: &WorkerOptions, env: &Environment) -> Result<Option<JwksCheck>, Failure> {
    let url = &names::SCHEDULER_JWKS_URL;
    let owned = |variable| Ok::<_, Failure>(env.text(variable)?.map(str::to_owned));
    let expected =
        Expected { issuer: owned(&names::SCHEDULER_JWT_ISSUER)?, audience: owned(&names::SCHEDULER_JWT_AUDIENCE)? };
    let Some(text) = env.text(url)? else {
        if expected.issuer.is_some() || expected.audience.is_some() {
            warn!("without {} no token is checked: expected issuer and audience have no effect", url.name);
        }
        return Ok(None);
    };
    let source = KeySource::parse(text).map_err(|error| Failure::usage(format!("{}: {error}", url.name)))?;
    if options.token.is_none() {
        let name = names::WORKER_JWT.name;
        return Err(Failure::failed(format!("{} is set, but there is no token to check: set {name}", url.name)));
    }
    if source.is_open() {
        warn!(%source, "keys come without TLS: anyone on the way can replace them");
    }
    let ttl = env.seconds(&names::SCHEDULER_JWKS_TTL_SECONDS)?.unwrap_or(DEFAULT_TTL);
    Ok(Some(JwksCheck::new(source, Fetch::new(options.ca_bundle.clone()), ttl, expected)))
}

/// Lets a worker start only with a token that passes `check`, and use pushed ones only if they do.
///
/// # Errors
/// The token does not pass (exit 1).
pub(in crate::worker) async fn apply(check: JwksCheck, options: &mut WorkerOptions) -> Result<(), Failure> {
    let verified = check.verify(options.token.as_deref().unwrap_or_default()).await;
    verified.map_err(|error| Failure::failed(format!("the worker token cannot be used: {}", chain(&error))))?;
    options.token_check = Some(Arc::new(PushedTokens(Arc::new(check))));
    Ok(())
}
