//! A worker process of one of our binaries, with a directory of its own.

use std::{net::SocketAddr, process::Command};

use anyhow::{Context, Result};
use tempfile::TempDir;

use crate::{Process, built};

/// A running worker. All that it writes is in its directory, which goes when the guard drops.
#[derive(Debug)]
pub struct OwnWorker {
    // Dropped before the directory that it writes to.
    /// The process.
    pub process: Process,
    /// Its working directory.
    pub dir: TempDir,
}

impl OwnWorker {
    /// Starts a worker of `binary` that connects to `address`, with these further arguments.
    ///
    /// # Errors
    /// When it is not built, or does not start.
    pub fn start(binary: &str, address: SocketAddr, words: &[&str]) -> Result<Self> {
        Self::start_in(own_dir()?, binary, address, |command| {
            command.args(words);
        })
    }

    /// Starts one in `dir`, perhaps that of an earlier one; `more` adds to its command.
    ///
    /// # Errors
    /// As [`OwnWorker::start`].
    pub fn start_in(dir: TempDir, binary: &str, address: SocketAddr, more: impl FnOnce(&mut Command)) -> Result<Self> {
        let mut command = Command::new(built(binary)?);
        command
            .args(["worker", "--addr", &format!("grpc://{address}")])
            .current_dir(dir.path())
            .env("XDG_STATE_HOME", dir.path().join("state"))
            .env("GEN_WORKER_JOBS_DIR", dir.path().join("jobs"));
        more(&mut command);
        Ok(Self { process: Process::start(binary, &mut command)?, dir })
    }
}

/// A directory for a worker.
///
/// # Errors
/// When none can be made.
pub fn own_dir() -> Result<TempDir> {
    tempfile::tempdir().context("make a directory")
}
