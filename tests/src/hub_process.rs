//! `gen-worker hub` as a process of its own.

use std::{fs, process::Command};

use anyhow::{Context, Result};
use gen_worker_hub::{
    BearerToken,
    client::{HubClient, HubClientOptions},
};
use serde::Deserialize;
use tempfile::TempDir;

use crate::{Process, built, eventually};

/// A running hub. Killed when dropped; what it keeps goes with it.
#[derive(Debug)]
pub struct HubProcess {
    // Dropped before the directory that it writes to.
    /// The process.
    pub process: Process,
    /// Its base URL.
    pub url: String,
    /// Its operator's token.
    pub token: BearerToken,
    /// Where it keeps everything.
    pub dir: TempDir,
}

/// What its ready file says.
#[derive(Deserialize)]
struct Ready {
    hub: String,
    token_file: std::path::PathBuf,
}

impl HubProcess {
    /// Starts one with these further arguments.
    ///
    /// # Errors
    /// When it is not built or does not start.
    pub fn start(words: &[&str]) -> Result<Self> {
        Self::start_in(tempfile::tempdir().context("make a directory")?, words)
    }

    /// Starts one over what an earlier one left.
    ///
    /// # Errors
    /// As [`HubProcess::start`].
    pub fn start_in(dir: TempDir, words: &[&str]) -> Result<Self> {
        let ready = dir.path().join("ready.json");
        let mut command = Command::new(built("gen-worker")?);
        command.args(["hub", "--listen", "127.0.0.1:0"]).args(words);
        command.arg("--dir").arg(dir.path().join("hub")).arg("--ready-file").arg(&ready);
        // Left by one that was killed.
        drop(fs::remove_file(&ready));
        let mut process = Process::start("hub", &mut command)?;
        process.wait_for_line("hub is ready")?;
        let told = eventually("the ready file", || fs::read(&ready).ok())?;
        let Ready { hub: url, token_file } = serde_json::from_slice(&told).context("read the ready file")?;
        let token = fs::read_to_string(token_file).context("read the token")?.trim().parse()?;
        Ok(Self { process, url, token, dir })
    }

    /// A client that may do everything.
    ///
    /// # Errors
    /// When there is no TLS.
    pub fn client(&self) -> Result<HubClient> {
        let token = Some(self.token.clone());
        Ok(HubClient::new(HubClientOptions { base_url: self.url.clone(), token, ..HubClientOptions::default() })?)
    }
}
