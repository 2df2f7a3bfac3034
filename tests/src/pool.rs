//! A running `gen-worker up`.

use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result};
use serde_json::Value;
use tempfile::TempDir;

use crate::{Api, Process, built};

/// How to start a pool. The default: no endpoint, a queue in memory, free ports.
#[derive(Clone, Debug, Default)]
pub struct PoolOptions {
    /// Names of endpoint binaries.
    pub endpoints: Vec<String>,
    /// Workers of each; 0 means one.
    pub workers: u16,
    /// Queue file; none keeps it in memory.
    pub db: Option<PathBuf>,
    /// Ports of HTTP and wire; 0 picks a free one.
    pub ports: (u16, u16),
    /// Further arguments.
    pub args: Vec<String>,
    /// Where its workers have the directories of jobs; none puts them beside their other files.
    pub jobs_dir: Option<PathBuf>,
}

/// A pool that is ready. Its processes end with the guard: the workers follow `up` by themselves.
#[derive(Debug)]
pub struct Pool {
    /// The `up` process.
    pub process: Process,
    /// Its HTTP API.
    pub api: Api,
    /// What its ready file says.
    pub ready: Value,
    ready_file: PathBuf,
    dir: TempDir,
}

impl Pool {
    /// Starts a pool and waits until it is ready.
    ///
    /// # Errors
    /// When it does not become ready.
    pub fn start(options: &PoolOptions) -> Result<Self> {
        let dir = tempfile::tempdir().context("make a directory")?;
        let ready_file = dir.path().join("ready.json");
        let mut command = Self::command(options, &ready_file)?;
        // Its workers inherit that.
        command.current_dir(dir.path()).env("XDG_STATE_HOME", dir.path().join("state"));
        command.env("TENSORHUB_CAS_DIR", dir.path().join("cas"));
        let jobs_dir = options.jobs_dir.clone().unwrap_or_else(|| dir.path().join("jobs"));
        command.env("GEN_WORKER_JOBS_DIR", jobs_dir);
        let mut process = Process::start("gen-worker up", &mut command)?;
        process.wait_for_line("pool is ready")?;
        let text = fs::read(&ready_file).context("read the ready file")?;
        let ready: Value = serde_json::from_slice(&text).context("parse the ready file")?;
        let http = ready.get("http").and_then(Value::as_str).context("no http address")?;
        Ok(Self { process, api: Api::new(http), ready, ready_file, dir })
    }

    /// The command that starts it.
    ///
    /// # Errors
    /// When a binary is not built.
    pub fn command(options: &PoolOptions, ready_file: &Path) -> Result<Command> {
        let mut command = Command::new(built("gen-worker")?);
        let (http, wire) = options.ports;
        command.arg("up").args([
            "--listen",
            &format!("127.0.0.1:{http}"),
            "--wire-listen",
            &format!("127.0.0.1:{wire}"),
        ]);
        command.arg("--ready-file").arg(ready_file);
        match &options.db {
            Some(db) => command.arg("--db").arg(db),
            None => command.arg("--memory"),
        };
        for endpoint in &options.endpoints {
            command.arg("--endpoint").arg(built(endpoint)?);
        }
        command.args(["--workers", &options.workers.max(1).to_string()]).args(&options.args);
        Ok(command)
    }

    /// Where workers connect.
    ///
    /// # Errors
    /// When the ready file does not say.
    pub fn wire(&self) -> Result<SocketAddr> {
        let wire = self.ready.get("wire").and_then(Value::as_str).context("no wire address")?;
        wire.rsplit('/').next().unwrap_or_default().parse().with_context(|| format!("wire address {wire}"))
    }

    /// Where the HTTP API listens.
    ///
    /// # Errors
    /// When the ready file does not say.
    pub fn http(&self) -> Result<SocketAddr> {
        let http = self.ready.get("http").and_then(Value::as_str).context("no http address")?;
        http.rsplit('/').next().unwrap_or_default().parse().with_context(|| format!("http address {http}"))
    }

    /// Working directory of `up` and its workers.
    #[must_use]
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// Process ids of the workers that `up` started.
    #[must_use]
    pub fn worker_pids(&self) -> Vec<u32> {
        let workers = self.ready.get("workers").and_then(Value::as_array).into_iter().flatten();
        workers.filter_map(|worker| worker.get("pid")?.as_u64()?.try_into().ok()).collect()
    }

    /// Where the ready file is.
    #[must_use]
    pub fn ready_file(&self) -> &Path {
        &self.ready_file
    }

    /// Waits until a worker called `id` is ready to take work, and gives its entry.
    ///
    /// # Errors
    /// When it does not come.
    pub fn worker(&self, id: &str) -> Result<Value> {
        crate::eventually(&format!("worker {id}"), || {
            let answer = self.api.get(&format!("/v1/workers/{id}")).ok().filter(|answer| answer.status == 200)?;
            let ready =
                answer.body.get("phase") == Some(&"ready".into()) && answer.body.get("connected") == Some(&true.into());
            ready.then_some(answer.body)
        })
    }
}
