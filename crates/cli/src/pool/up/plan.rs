//! What `up` was asked for, checked before anything is started.

#[cfg(test)]
mod tests;

use std::{
    ffi::OsString,
    net::SocketAddr,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    time::Duration,
};

use super::{child::WorkerSpec, output::Mark};
use crate::{
    args::{LogArgs, LogFormat, ModelDir},
    env::{Environment, names},
    exit::Failure,
    hub::given_public_url,
    models,
    pool::args::UpArgs,
    state,
};

/// Unit of `--history-days`.
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// Queue file in the state directory.
const QUEUE_FILE: &str = "queue.sqlite";

/// Ends the name of the directory beside the queue file in which workers keep results.
const SPOOL_SUFFIX: &str = ".spool";

/// The same for the directory of the hub.
const HUB_SUFFIX: &str = ".hub";

/// Namespace of pool ids that are made from the path of a queue file; any constant would do.
const POOLS: uuid::Uuid = uuid::Uuid::from_u128(0x6765_6e2d_776f_726b_6572_2f70_6f6f_6c73);

/// A pool to start.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) listen: SocketAddr,
    pub(super) wire_listen: SocketAddr,
    /// File of the queue; none keeps it in memory.
    pub(super) db: Option<PathBuf>,
    /// Directory of the hub; none for one that ends with the pool.
    pub(super) hub: Option<PathBuf>,
    /// Where the pool is found, if that is not where it listens.
    pub(super) public_url: Option<String>,
    pub(super) ready_file: Option<PathBuf>,
    pub(super) reconnect_window: Duration,
    /// How long ended requests are kept; none for ever.
    pub(super) history: Option<Duration>,
    endpoints: Vec<PathBuf>,
    workers_each: u16,
    models: Vec<ModelDir>,
    drain: Duration,
    log: LogArgs,
    json_logs: bool,
    /// Tells the workers of this pool from those of others; the same whenever this queue file is served, so that
    /// results that its workers kept find their way.
    pool_id: String,
}

impl Plan {
    /// Checks what was asked for.
    ///
    /// # Errors
    /// A reachable address without consent, an endpoint that is no program (exit 2), a missing model directory (exit 3).
    pub(super) fn make(args: UpArgs, env: &Environment) -> Result<Self, Failure> {
        for address in [args.listen, args.wire_listen] {
            if !address.ip().is_loopback() && !args.dev_allow_remote {
                return Err(Failure::usage(format!(
                    "{address} can be reached from other machines and there is no authentication: add --dev-allow-remote"
                )));
            }
        }
        let endpoints = args.endpoints.iter().map(|path| program(path)).collect::<Result<_, _>>()?;
        let db =
            if args.memory { None } else { Some(args.db.unwrap_or_else(|| state::directory(env).join(QUEUE_FILE))) };
        let format = args.log.log_format.map(|format| format == LogFormat::Json);
        let json_logs = format.map_or_else(|| Ok(env.text(&names::GEN_WORKER_LOG_FORMAT)? == Some("json")), Ok)?;
        let pool_id = pool_id(db.as_deref())?;
        Ok(Self {
            listen: args.listen,
            wire_listen: args.wire_listen,
            hub: args.hub_dir.or_else(|| db.as_deref().map(|db| beside(db, HUB_SUFFIX))),
            public_url: given_public_url(args.public_url.as_deref(), env)?,
            db,
            ready_file: args.ready_file,
            reconnect_window: args.reconnect_window,
            history: (args.history_days > 0).then(|| DAY * u32::from(args.history_days)),
            endpoints,
            workers_each: args.workers,
            models: models::resolve(&args.models, env)?,
            drain: args.drain_timeout,
            log: args.log,
            json_logs,
            pool_id,
        })
    }

    /// The endpoint programs, in the order they were given.
    pub(super) fn endpoints(&self) -> impl Iterator<Item = &Path> {
        self.endpoints.iter().map(PathBuf::as_path)
    }

    /// The workers of a pool whose wire listens at `wire`, in the order of the endpoints.
    pub(super) fn workers(&self, wire: SocketAddr) -> Vec<WorkerSpec> {
        let each = |endpoint: &PathBuf| {
            (0..self.workers_each).map(move |index| self.worker(endpoint, index, wire)).collect::<Vec<_>>()
        };
        self.endpoints.iter().flat_map(each).collect()
    }

    fn worker(&self, endpoint: &Path, index: u16, wire: SocketAddr) -> WorkerSpec {
        let stem = endpoint.file_stem().unwrap_or_default().to_string_lossy();
        let name = format!("{stem}/{index}");
        let worker_id = format!("{stem}-{index}-{}", self.pool_id);
        let mark = if self.json_logs { Mark::Member(name.clone()) } else { Mark::Prefix(name.clone()) };
        let args = self.args(&worker_id, wire);
        WorkerSpec { name, worker_id, program: endpoint.to_owned(), args, mark, drain: self.drain }
    }

    fn args(&self, worker_id: &str, wire: SocketAddr) -> Vec<OsString> {
        let mut args: Vec<OsString> = vec!["worker".into(), "--exit-with-stdin".into()];
        let mut flag = |name: &str, value: OsString| args.extend([OsString::from(name), value]);
        flag("--addr", format!("grpc://{wire}").into());
        flag("--worker-id", worker_id.into());
        match &self.db {
            Some(db) => {
                flag("--spool-dir", beside(db, SPOOL_SUFFIX).into());
            }
            // Requests that end with this process need no results after it.
            None => flag("--spool", "never".into()),
        }
        flag("--drain-timeout", self.drain.as_secs_f64().to_string().into());
        flag("--log-format", if self.json_logs { "json" } else { "text" }.into());
        if let Some(filter) = &self.log.log {
            flag("--log", filter.into());
        }
        for ModelDir { model, dir } in &self.models {
            let mut value = OsString::from(format!("{model}="));
            value.push(dir);
            flag("--model", value);
        }
        args
    }
}

/// What belongs to a queue file, beside it.
fn beside(db: &Path, suffix: &str) -> PathBuf {
    let mut name = db.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

/// A program to run, by its absolute path, so that a name without a slash is never looked up elsewhere.
fn program(path: &Path) -> Result<PathBuf, Failure> {
    let shown = path.display();
    let metadata = path.metadata().map_err(|error| Failure::usage(format!("endpoint {shown}: {error}")))?;
    if !metadata.is_file() || metadata.permissions().mode() & 0o111 == 0 {
        return Err(Failure::usage(format!("endpoint {shown} is not a program")));
    }
    std::path::absolute(path).map_err(|error| Failure::usage(format!("endpoint {shown}: {error}")))
}

/// Eight hex digits: of the path of the queue file, else by chance.
fn pool_id(db: Option<&Path>) -> Result<String, Failure> {
    let id = match db {
        Some(db) => {
            let path =
                std::path::absolute(db).map_err(|error| Failure::usage(format!("--db {}: {error}", db.display())))?;
            uuid::Uuid::new_v5(&POOLS, path.as_os_str().as_encoded_bytes())
        }
        None => uuid::Uuid::new_v4(),
    };
    let id = id.simple().to_string();
    Ok(id.get(..8).unwrap_or(&id).to_owned())
}
