//! A worker that is not `up`'s: the Python peer in one of its versions, or ours on its own.

use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context, Result, ensure};
use tempfile::TempDir;

use crate::{Process, binaries::workspace, built};

/// Kinds of workers that serve the same functions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Peer {
    /// Our own worker.
    Ours,
    /// The Python package in this version.
    Python(&'static str),
}

/// What a peer serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Serves {
    /// The functions that need no model: `echo`, `refuse`, `count-up`, `speak`, `hold`.
    Functions,
    /// `read`, which tells the text of a model of the hub. It has to be told where to get it.
    Model,
}

/// A running worker with its own working directory.
#[derive(Debug)]
pub struct PeerWorker {
    /// The process.
    pub process: Process,
    /// Its working directory, where `hold` keeps its files.
    pub dir: TempDir,
}

impl Peer {
    /// Every kind.
    pub const ALL: [Self; 3] = [Self::Ours, Self::Python("0.11.2"), Self::Python("0.13.34")];

    /// Starts a worker called `id` that connects to `wire`.
    ///
    /// # Errors
    /// When it is not installed or built, or does not start.
    pub fn start(self, id: &str, wire: SocketAddr) -> Result<PeerWorker> {
        self.start_in(tempfile::tempdir().context("make a directory")?, id, wire)
    }

    /// Starts one in the directory of an earlier one.
    ///
    /// # Errors
    /// As [`Peer::start`].
    pub fn start_in(self, dir: TempDir, id: &str, wire: SocketAddr) -> Result<PeerWorker> {
        self.start_serving(Serves::Functions, dir, id, wire)
    }

    /// Starts one that serves this.
    ///
    /// # Errors
    /// As [`Peer::start`].
    pub fn start_serving(self, serves: Serves, dir: TempDir, id: &str, wire: SocketAddr) -> Result<PeerWorker> {
        let mut command = match self {
            Self::Ours => ours(serves)?,
            Self::Python(version) => python(version, serves, dir.path())?,
        };
        command
            .current_dir(dir.path())
            .env("ORCHESTRATOR_PUBLIC_ADDR", format!("grpc://{wire}"))
            .env("WORKER_ID", id)
            .env("XDG_STATE_HOME", dir.path().join("state"))
            .env("GEN_WORKER_JOBS_DIR", dir.path().join("jobs"))
            .env("TENSORHUB_CACHE_DIR", dir.path().join("cache"));
        Ok(PeerWorker { process: Process::start(&format!("{self:?}"), &mut command)?, dir })
    }
}

fn ours(serves: Serves) -> Result<Command> {
    let binary = match serves {
        Serves::Functions => "conformance-endpoint",
        Serves::Model => "model-endpoint",
    };
    let mut command = Command::new(built(binary)?);
    command.arg("worker");
    Ok(command)
}

/// The command of a Python worker in `dir`, with its project and lock written there.
fn python(version: &str, serves: Serves, dir: &Path) -> Result<Command> {
    let python = workspace().join(format!("target/peers/gen-worker-{version}/bin/python"));
    ensure!(python.is_file(), "no Python peer at {}: run `cargo xtask setup`", python.display());
    let source = workspace().join("tests/peer");
    let module = match serves {
        Serves::Functions => "peer_functions",
        Serves::Model => "peer_model",
    };
    let file = format!("{module}.py");
    fs::copy(source.join(&file), dir.join(&file)).with_context(|| format!("copy {file}"))?;
    let project =
        format!("[project]\nname = \"peer\"\nversion = \"0.0.0\"\n\n[tool.gen_worker]\nmain = \"{module}\"\n");
    fs::write(dir.join("pyproject.toml"), project).context("write the project")?;
    fs::write(dir.join("endpoint.lock"), lock(&python, dir)?).context("write the lock")?;
    let mut command = Command::new(python);
    command.args(["-m", "gen_worker.entrypoint"]).env("ENDPOINT_LOCK_PATH", "endpoint.lock");
    Ok(command)
}

fn lock(python: &PathBuf, dir: &Path) -> Result<Vec<u8>> {
    let mut command = Command::new(python);
    command.args(["-m", "gen_worker.discovery"]).current_dir(dir).stdin(Stdio::null());
    let output = command.output().context("run the peer's discovery")?;
    ensure!(output.status.success(), "the peer's discovery failed: {}", String::from_utf8_lossy(&output.stderr));
    Ok(output.stdout)
}
