//! `gen-worker hub` as a process of its own.

use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, bail, ensure};
use gen_worker_hub::{
    BearerToken, HubRef,
    api::{FileSource, Resolved, ResolvedFile},
    client::{HubClient, HubClientOptions},
};
use gen_worker_proto::pb;
use rustix::process::Signal;
use serde::Deserialize;
use tempfile::TempDir;

use crate::{
    Process, built, eventually,
    hub_peer::{peer_call, succeeded},
};

/// Name of the directory of a hub in its place.
const HUB: &str = "hub";

/// A running hub. Killed when dropped; what it keeps goes with it.
#[derive(Debug)]
pub struct HubProcess {
    // Dropped before the directory that it writes to.
    /// The process.
    pub process: Process,
    /// Its base URL, as clients are told.
    pub url: String,
    /// Where it listens.
    pub address: SocketAddr,
    /// Its operator's token.
    pub token: BearerToken,
    /// Where it keeps everything.
    pub dir: TempDir,
}

/// What its ready file says.
#[derive(Deserialize)]
struct Ready {
    hub: String,
    listen: SocketAddr,
    token_file: PathBuf,
}

/// The command `gen-worker` in a world in which it may mount, once a shell has made that ready with `script`, whose `$HUB` is
/// `directory`.
///
/// # Errors
/// When it is not built.
pub fn in_own_world(script: &str, directory: &Path) -> Result<Command> {
    let mut command = Command::new("unshare");
    let script = format!("{script}\nexec \"$@\"");
    command.args(["--mount", "--map-root-user", "sh", "-ec", &script, "sh"]).arg(built("gen-worker")?);
    command.env("HUB", directory);
    Ok(command)
}

/// A path in the world of a process, which may have mounts of its own.
fn seen_by(process: &Process, path: &Path) -> PathBuf {
    let root = Path::new("/proc").join(process.id().to_string()).join("root");
    root.join(path.strip_prefix("/").unwrap_or(path))
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
        Self::start_with(dir, words, &[])
    }

    /// The same with these variables.
    ///
    /// # Errors
    /// As [`HubProcess::start`].
    pub fn start_with(dir: TempDir, words: &[&str], variables: &[(&str, &str)]) -> Result<Self> {
        let mut command = Command::new(built("gen-worker")?);
        command.envs(variables.iter().copied());
        Self::run(dir, words, command)
    }

    /// Starts one in a world in which it may mount, once a shell has made that ready with `script`. The directory of the hub is
    /// `$HUB` there.
    ///
    /// # Errors
    /// As [`HubProcess::start`].
    pub fn start_by(script: &str, words: &[&str]) -> Result<Self> {
        let dir = tempfile::tempdir().context("make a directory")?;
        let command = in_own_world(script, &dir.path().join(HUB))?;
        Self::run(dir, words, command)
    }

    fn run(dir: TempDir, words: &[&str], mut command: Command) -> Result<Self> {
        let ready = dir.path().join("ready.json");
        command.args(["hub", "--listen", "127.0.0.1:0"]).args(words);
        command.arg("--dir").arg(dir.path().join(HUB)).arg("--ready-file").arg(&ready);
        // Left by one that was killed.
        drop(fs::remove_file(&ready));
        let mut process = Process::start("hub", &mut command)?;
        process.wait_for_line("hub is ready")?;
        let told = eventually("the ready file", || fs::read(&ready).ok())?;
        let Ready { hub: url, listen: address, token_file } =
            serde_json::from_slice(&told).context("read the ready file")?;
        let token = fs::read_to_string(seen_by(&process, &token_file)).context("read the token")?.trim().parse()?;
        Ok(Self { process, url, address, token, dir })
    }

    /// The directory of the hub, as its process sees it.
    #[must_use]
    pub fn directory(&self) -> PathBuf {
        seen_by(&self.process, &self.dir.path().join(HUB))
    }

    /// Kills it, and gives what it leaves.
    ///
    /// # Errors
    /// When it is gone already.
    pub fn kill(mut self) -> Result<TempDir> {
        self.process.signal(Signal::KILL)?;
        self.process.wait()?;
        Ok(self.dir)
    }

    /// Publishes the files below `dir` as `reference`, with `gen-worker hub push`.
    ///
    /// # Errors
    /// When the hub does not take them.
    pub fn push(&self, dir: &Path, reference: &str) -> Result<()> {
        let mut command = Command::new(built("gen-worker")?);
        command.args(["hub", "push"]).arg(dir).arg(reference);
        command.env("TENSORHUB_URL", &self.url).env("TENSORHUB_TOKEN", self.token.reveal());
        let ended = Process::output(&mut command)?;
        ensure!(ended.code == Some(0), "push of {reference}: {}", ended.stderr);
        Ok(())
    }

    /// What a call of the peer's code in `version` answers when it succeeds, as [`crate::OwnHub::peer_does`].
    ///
    /// # Errors
    /// When the peer is not installed, breaks off, or fails.
    pub fn peer_does(&self, version: &str, name: &str, call: serde_json::Value) -> Result<serde_json::Value> {
        succeeded(version, name, peer_call(version, &self.url, self.dir.path(), name, call)?)
    }

    /// What an orchestrator would send for `reference`.
    ///
    /// # Errors
    /// When the hub does not have it.
    pub async fn snapshot(&self, reference: &str) -> Result<pb::Snapshot> {
        let Resolved { snapshot, files, .. } = self.client()?.resolve(&HubRef::parse(reference)?).await?;
        let file = |file: ResolvedFile| {
            let FileSource::Url(url) = file.source else { bail!("an address is expected") };
            let size_bytes = i64::try_from(file.size_bytes)?;
            let (path, blake3) = (file.path.to_string(), file.blake3.to_string());
            Ok(pb::SnapshotFile { path, size_bytes, blake3, url: url.reveal().to_owned() })
        };
        Ok(pb::Snapshot { digest: snapshot.to_string(), files: files.into_iter().map(file).collect::<Result<_>>()? })
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
