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

/// Kinds of workers that serve the functions of the conformance scenarios: `echo`, `refuse`, `count-up`, `hold`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Peer {
    /// Our own worker.
    Ours,
    /// The Python package in this version.
    Python(&'static str),
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
        let mut command = match self {
            Self::Ours => {
                let mut command = Command::new(built("conformance-endpoint")?);
                command.arg("worker");
                command
            }
            Self::Python(version) => python(version, dir.path())?,
        };
        command
            .current_dir(dir.path())
            .env("ORCHESTRATOR_PUBLIC_ADDR", format!("grpc://{wire}"))
            .env("WORKER_ID", id)
            .env("XDG_STATE_HOME", dir.path().join("state"))
            .env("TENSORHUB_CACHE_DIR", dir.path().join("cache"));
        Ok(PeerWorker { process: Process::start(&format!("{self:?}"), &mut command)?, dir })
    }
}

/// The command of a Python worker in `dir`, with its project and lock written there.
fn python(version: &str, dir: &Path) -> Result<Command> {
    let python = workspace().join(format!("target/peers/gen-worker-{version}/bin/python"));
    ensure!(python.is_file(), "no Python peer at {}: run `cargo xtask setup`", python.display());
    let source = workspace().join("tests/peer");
    for file in ["pyproject.toml", "peer_functions.py"] {
        fs::copy(source.join(file), dir.join(file)).with_context(|| format!("copy {file}"))?;
    }
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
