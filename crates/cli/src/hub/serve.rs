//! `gen-worker hub`: a hub on its own address, until a signal.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use gen_worker_hubd::Visibility;
use gen_worker_tasks::Scope;
use serde::Serialize;
use tokio::net::TcpListener;
use tracing::{info, level_filters::LevelFilter, warn};

use super::{
    args::{ServeArgs, VisibilityArg},
    directory::Directory,
    local::{HubSettings, LocalHub, Tidy},
    public_url::{given_public_url, local_url},
    stores::Stores,
};
use crate::{
    env::{Environment, names},
    exit::{Exit, Failure, Outcome},
    logging, ready_file,
    signals::StopSignals,
    state,
};

/// Directory of a hub below the state directory.
const DIRECTORY: &str = "hub";

/// What the ready file says.
#[derive(Debug, Serialize)]
struct Ready {
    /// Base URL.
    hub: String,
    /// Where it listens.
    listen: std::net::SocketAddr,
    /// Where its own token is; none when tokens were given.
    token_file: Option<PathBuf>,
    /// This process.
    pid: u32,
}

/// Runs the command.
pub(super) fn run(args: ServeArgs, env: &Environment) -> Outcome {
    logging::start(&args.log, env, LevelFilter::INFO)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .thread_name("hub")
        .enable_all()
        .build()
        .map_err(|error| Failure::failed(format!("could not start the runtime: {error}")))?;
    let outcome = runtime.block_on(serve(args, env));
    runtime.shutdown_background();
    outcome
}

async fn serve(args: ServeArgs, env: &Environment) -> Outcome {
    let mut signals = StopSignals::listen()?;
    if let Some(path) = &args.ready_file {
        ready_file::remove(path).map_err(|error| not_writable(path, &error))?;
    }
    let path = directory_of(args.dir.as_deref(), env);
    let stores = Stores::given(&args.stores, env)?;
    let secret_file = secret_file_of(args.stores.secret_file, env);
    let directory = Directory::open(&path)?;
    let listener = TcpListener::bind(args.listen).await;
    let (listener, address) = listener
        .and_then(|listener| listener.local_addr().map(|address| (listener, address)))
        .map_err(|error| Failure::failed(format!("could not listen on {}: {error}", args.listen)))?;
    let given = given_public_url(args.public_url.as_deref(), env)?;
    let public_url = given.unwrap_or_else(|| local_url(address));
    stores.check_reads(&public_url)?;
    let token_file = args.token_files.is_empty().then(|| directory.token_file());
    let settings = HubSettings {
        public_url: public_url.clone(),
        stores,
        secret_file,
        token_files: args.token_files,
        visibility: match args.visibility {
            VisibilityArg::Public => Visibility::Public,
            VisibilityArg::Private => Visibility::Private,
        },
        anonymous_per_minute: args.anonymous_rate,
        part_bytes: args.part_size,
        tidy: Tidy { every: args.tidy_interval, unused_grace: args.unused_grace },
    };
    let local = LocalHub::open(directory, settings).await?;
    let scope = Scope::new("hub server");
    let (hub, cancel, drain) = (Arc::clone(local.hub()), scope.cancel().clone(), args.drain_timeout);
    scope.spawn("listener", async move { gen_worker_hubd::serve(listener, hub, drain, &cancel).await });
    let ready = Ready { hub: public_url, listen: address, token_file, pid: std::process::id() };
    if let Some(path) = &args.ready_file {
        ready_file::write(path, &ready).map_err(|error| not_writable(path, &error))?;
    }
    info!(url = ready.hub, listen = %address, dir = %path.display(), "hub is ready");
    let name = signals.next().await;
    let outcome = stop(&scope, drain, &mut signals, name).await;
    drop(scope);
    local.close().await;
    if let Some(Err(error)) = args.ready_file.as_deref().map(ready_file::remove) {
        warn!(%error, "ready file stays behind");
    }
    outcome
}

/// The directory that is given, by flag or environment, or the one below the state directory.
pub(super) fn directory_of(flag: Option<&Path>, env: &Environment) -> PathBuf {
    let set = env.raw(&names::GEN_WORKER_HUB_DIR).map(PathBuf::from);
    flag.map(PathBuf::from).or(set).unwrap_or_else(|| state::directory(env).join(DIRECTORY))
}

/// The file with the secret that is given, by flag or environment; none when it is in the directory.
pub(super) fn secret_file_of(flag: Option<PathBuf>, env: &Environment) -> Option<PathBuf> {
    flag.or_else(|| env.raw(&names::GEN_WORKER_HUB_SECRET_FILE).map(PathBuf::from))
}

/// Lets transfers finish, unless a second signal wants the end at once.
async fn stop(scope: &Scope, drain: Duration, signals: &mut StopSignals, name: &str) -> Outcome {
    info!(signal = name, "stopping: finishing transfers");
    scope.cancel().stop();
    tokio::select! {
        biased;
        _ = scope.join(drain) => Ok(Exit::Success),
        name = signals.next() => {
            warn!(signal = name, "second signal: cutting transfers");
            scope.cancel().kill();
            Ok(Exit::Interrupted)
        }
    }
}

fn not_writable(path: &Path, error: &std::io::Error) -> Failure {
    Failure::usage(format!("ready file {}: {error}", path.display()))
}
