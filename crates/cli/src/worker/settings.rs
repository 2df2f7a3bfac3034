//! What flags and variables mean for a worker. Flags win.

#[cfg(test)]
mod tests;
pub(super) mod token;

use std::{fs, net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};

use gen_worker_core::{Address, SlotOptions, SpoolOptions, SpoolPolicy, WorkerOptions};

use super::{identity::Claims, slots::ProcessSlots};
use crate::{
    args::{SPOOL_POLICIES, WorkerArgs, spool_policy},
    env::{Environment, names},
    exit::Failure,
    inputs, state,
};

/// Threads of the runtime. Two: one can stay inside a handler that computes without yielding while the other keeps the
/// connection alive. Measured on 2 cores: as fast as one (9,400 durable requests/s, 15 MB resident), while four cost
/// 15 % of the requests and 2 MB.
const DEFAULT_THREADS: usize = 2;

/// Most threads that may be asked for: beyond the cores of any machine they only switch.
const THREADS_MAX: usize = 1024;

/// Threads of the runtime.
///
/// # Errors
/// A number that makes no sense.
pub(super) fn threads(args: &WorkerArgs, env: &Environment) -> Result<usize, Failure> {
    let expected = "a number of threads from 1 to 1024";
    let set = args.threads.map(Ok).or_else(|| env.parsed(&names::GEN_WORKER_THREADS, expected).transpose());
    match set.transpose()?.unwrap_or(DEFAULT_THREADS) {
        threads @ 1..=THREADS_MAX => Ok(threads),
        _ => Err(Failure::usage(format!("--threads (or {}) must be {expected}", names::GEN_WORKER_THREADS.name))),
    }
}

/// Everything else.
///
/// # Errors
/// A value that cannot be, or no address.
pub(super) fn options(args: &WorkerArgs, env: &Environment) -> Result<WorkerOptions, Failure> {
    mode(env)?;
    let mut addresses = addresses(args, env)?.into_iter();
    let first = addresses.next().ok_or_else(|| {
        Failure::usage(format!("no orchestrator address: set --addr or {}", names::ORCHESTRATOR_PUBLIC_ADDR.name))
    })?;
    let token = token::token(env)?;
    let claims = token.as_deref().map(Claims::of).unwrap_or_default();
    let mut options = WorkerOptions::new(first);
    options.seeds = addresses.collect();
    options.ca_bundle = ca_bundle(args, env)?;
    options.worker_id = chosen(&args.worker_id, env.text(&names::WORKER_ID)?, claims.worker_id);
    options.release_id = chosen(&args.release_id, env.text(&names::GEN_WORKER_RELEASE_ID)?, claims.release_id);
    options.token = token;
    provenance(&mut options, env)?;
    limits(&mut options, args, env)?;
    redial(&mut options, args, env)?;
    options.inputs = inputs::options(env, options.ca_bundle.clone())?;
    options.scratch = Some(inputs::jobs_dir(env));
    options.slots = Some(slots(args, env)?);
    options.spool = spool(args, env, &options.address)?;
    env.tell_ignored();
    Ok(options)
}

/// There is one mode; a launcher that wants another must not get a worker that does something else.
fn mode(env: &Environment) -> Result<(), Failure> {
    match env.text(&names::WORKER_MODE)? {
        None => Ok(()),
        Some(mode) if mode.eq_ignore_ascii_case("inference") => Ok(()),
        Some(_) => Err(Failure::usage(format!(
            "{} must be `inference`: this worker has no other mode",
            names::WORKER_MODE.name
        ))),
    }
}

fn addresses(args: &WorkerArgs, env: &Environment) -> Result<Vec<Address>, Failure> {
    let mut texts: Vec<&str> = args.addresses.iter().map(String::as_str).collect();
    if texts.is_empty() {
        texts.extend(env.text(&names::ORCHESTRATOR_PUBLIC_ADDR)?);
        let seeds = env.text(&names::SCHEDULER_ADDRS)?.unwrap_or_default();
        texts.extend(seeds.split(',').map(str::trim).filter(|seed| !seed.is_empty()));
    }
    let tls = env.switch(&names::USE_TLS)?;
    texts.into_iter().map(|text| Address::parse(text, tls).map_err(|error| Failure::usage(error.to_string()))).collect()
}

fn ca_bundle(args: &WorkerArgs, env: &Environment) -> Result<Option<Vec<u8>>, Failure> {
    let path = args.ca_bundle.clone().or_else(|| env.raw(&names::GRPC_CA_BUNDLE).map(PathBuf::from));
    let Some(path) = path else { return Ok(None) };
    let pem = fs::read(&path).map_err(|error| Failure::usage(format!("CA bundle {}: {error}", path.display())))?;
    Ok(Some(pem))
}

fn chosen(flag: &Option<String>, variable: Option<&str>, claim: Option<String>) -> String {
    flag.clone().or_else(|| variable.map(str::to_owned)).or(claim).unwrap_or_default()
}

fn provenance(options: &mut WorkerOptions, env: &Environment) -> Result<(), Failure> {
    let facts = &mut options.resources;
    for (fact, variable) in [
        (&mut facts.image_digest, &names::WORKER_IMAGE_DIGEST),
        (&mut facts.git_commit, &names::WORKER_GIT_COMMIT),
        (&mut facts.instance_id, &names::RUNPOD_POD_ID),
    ] {
        env.text(variable)?.unwrap_or_default().clone_into(fact);
    }
    Ok(())
}

fn limits(options: &mut WorkerOptions, args: &WorkerArgs, env: &Environment) -> Result<(), Failure> {
    let count = |variable| Ok(env.parsed::<usize>(variable, "a whole number, 0 or more")?.unwrap_or(0));
    options.limits.jobs_max = args.max_concurrency.map_or_else(|| count(&names::WORKER_MAX_CONCURRENCY), Ok)?;
    options.limits.input_bytes_max = count(&names::WORKER_MAX_INPUT_BYTES)?;
    options.limits.output_bytes_max = count(&names::WORKER_MAX_OUTPUT_BYTES)?;
    options.vram.models_bytes_max = env.gigabytes(&names::WORKER_MAX_VRAM_GB)?.filter(|bytes| *bytes > 0);
    if let Some(bytes) = env.gigabytes(&names::WORKER_VRAM_SAFETY_MARGIN_GB)? {
        options.vram.reserve_bytes = bytes;
    }
    options.upload_bytes_max = count(&names::WORKER_MAX_UPLOAD_BYTES)?;
    let budget =
        args.drain_timeout.map_or_else(|| env.seconds(&names::WORKER_DRAIN_TIMEOUT_SECONDS), |set| Ok(Some(set)))?;
    if let Some(budget) = budget.filter(|budget| *budget > Duration::ZERO) {
        options.drain_budget = budget;
    }
    Ok(())
}

/// How isolated handlers get their processes.
fn slots(args: &WorkerArgs, env: &Environment) -> Result<SlotOptions, Failure> {
    let mut slots = SlotOptions::new(Arc::new(ProcessSlots::new(&args.log)));
    let grace = args.cancel_grace.map_or_else(|| env.seconds(&names::GEN_WORKER_CANCEL_GRACE), |set| Ok(Some(set)))?;
    slots.cancel_grace = grace.unwrap_or(slots.cancel_grace);
    Ok(slots)
}

/// Where results wait, if they do.
fn spool(args: &WorkerArgs, env: &Environment, address: &Address) -> Result<Option<SpoolOptions>, Failure> {
    let expected = SPOOL_POLICIES;
    let text = env.text(&names::GEN_WORKER_SPOOL)?;
    let wrong = |_| Failure::usage(format!("{} must be {expected}", names::GEN_WORKER_SPOOL.name));
    let set = args.spool.map(Ok).or_else(|| text.map(|text| spool_policy(text).map_err(wrong)));
    let policy = set.transpose()?.unwrap_or_default();
    if policy == SpoolPolicy::Never {
        return Ok(None);
    }
    let dir = args.spool_dir.clone().or_else(|| env.raw(&names::GEN_WORKER_SPOOL_DIR).map(PathBuf::from));
    // Results belong to the orchestrator that asked for them.
    let own = || state::directory(env).join("spool").join(format!("{}_{}", address.host(), address.port()));
    let mut options = SpoolOptions { policy, ..SpoolOptions::new(dir.unwrap_or_else(own)) };
    if let Some(bytes) = env.parsed(&names::GEN_WORKER_SPOOL_BYTES, "a whole number of bytes")? {
        options.bytes_max = bytes;
    }
    Ok(Some(options))
}

/// Where the page of counts is, if there is one.
///
/// # Errors
/// What is no address.
pub(super) fn metrics(args: &WorkerArgs, env: &Environment) -> Result<Option<SocketAddr>, Failure> {
    let variable = || env.parsed(&names::GEN_WORKER_METRICS_ADDR, "an address such as 127.0.0.1:9464");
    args.metrics_addr.map_or_else(variable, |address| Ok(Some(address)))
}

fn redial(options: &mut WorkerOptions, args: &WorkerArgs, env: &Environment) -> Result<(), Failure> {
    let redial = &mut options.redial;
    redial.backoff.base = env.seconds(&names::RECONNECT_DELAY)?.unwrap_or(redial.backoff.base);
    redial.backoff.cap = env.seconds(&names::RECONNECT_MAX_DELAY)?.unwrap_or(redial.backoff.cap);
    let attempts = env.parsed(&names::MAX_RECONNECT_ATTEMPTS, "a whole number, 0 or more")?;
    redial.attempts_max = attempts.unwrap_or(redial.attempts_max);
    let limit = args
        .disconnect_limit
        .map_or_else(|| env.seconds(&names::WORKER_DISCONNECTED_TIMEOUT_S), |set| Ok(Some(set)))?;
    if let Some(limit) = limit {
        redial.disconnected_max = Some(limit).filter(|limit| *limit > Duration::ZERO);
    }
    Ok(())
}
