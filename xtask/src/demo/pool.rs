//! The pool as a child process: started, waited for, stopped, and looked for afterwards.

use std::fs::File;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process, kill_process_group, test_kill_process};
use serde::Deserialize;

use crate::paths::{MODEL_REF, Paths};

/// A release build starts in well under a second; a busy machine may take longer.
const START_MAX: Duration = Duration::from_secs(60);

/// More than the pool itself allows its workers to drain.
const STOP_MAX: Duration = Duration::from_secs(45);

const POLL: Duration = Duration::from_millis(5);

/// The file the pool writes when every worker is ready.
#[derive(Debug, Deserialize)]
struct Ready {
    http: String,
    wire: String,
    pid: u32,
    workers: Vec<Worker>,
}

#[derive(Debug, Deserialize)]
struct Worker {
    worker_id: String,
    pid: u32,
}

/// A running pool. Dropping it without [`Pool::stop`] kills it and all its workers.
pub(super) struct Pool {
    child: Child,
    ready: Ready,
    log: PathBuf,
    stopped: bool,
}

impl Pool {
    /// Starts `gen-worker up` with both examples on free ports and waits until every worker is ready.
    pub(super) fn start(paths: &Paths) -> Result<Self> {
        let dir = paths.notes().join("demo");
        // What an earlier demo left: its queue would be served again.
        match std::fs::remove_dir_all(&dir) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(error).with_context(|| format!("remove {}", dir.display()));
            }
            _ => std::fs::create_dir_all(&dir).with_context(|| format!("create {}", dir.display()))?,
        }
        let (ready, log) = (dir.join("ready.json"), dir.join("pool.log"));
        let output = File::create(&log).with_context(|| format!("create {}", log.display()))?;
        let built = paths.built("release")?;
        let mut model = std::ffi::OsString::from(format!("{MODEL_REF}="));
        model.push(paths.model());
        let mut command = paths.command(built.join("gen-worker"));
        command.args(["up", "--listen", "127.0.0.1:0", "--wire-listen", "127.0.0.1:0"]);
        command.arg("--db").arg(dir.join("pool.sqlite")).arg("--ready-file").arg(&ready);
        command.arg("--endpoint").arg(built.join("marco-polo")).arg("--endpoint").arg(built.join("embed"));
        command.arg("--model").arg(model);
        // Its own group, so that Drop reaches the workers too, whatever state the pool is in.
        command
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(output.try_clone().context("share the log")?)
            .stderr(output);
        let child = command.spawn().with_context(|| format!("start `{}`", crate::process::describe(&command)))?;
        let unready = Ready { http: String::new(), wire: String::new(), pid: 0, workers: Vec::new() };
        let mut pool = Self { child, ready: unready, log, stopped: false };
        pool.ready = pool.wait_ready(&ready)?;
        Ok(pool)
    }

    /// Base URL of the HTTP API.
    pub(super) fn http(&self) -> &str {
        &self.ready.http
    }

    /// Addresses and workers, for people.
    pub(super) fn describe(&self) -> String {
        let workers: Vec<_> = self.ready.workers.iter().map(|worker| &*worker.worker_id).collect();
        format!("HTTP {}, workers {} on {}", self.ready.http, workers.join(" and "), self.ready.wire)
    }

    /// Stops it as Ctrl-C would, and returns how many processes it had. Fails when one is left, or it ended with an error.
    pub(super) fn stop(mut self) -> Result<usize> {
        let pid = Pid::from_child(&self.child);
        kill_process(pid, Signal::INT).context("interrupt the pool")?;
        let deadline = Instant::now() + STOP_MAX;
        let status = loop {
            if let Some(status) = self.child.try_wait().context("wait for the pool")? {
                break status;
            }
            if Instant::now() > deadline {
                bail!("the pool did not stop within {STOP_MAX:?}; {}", self.tail());
            }
            std::thread::sleep(POLL);
        };
        let processes: Vec<u32> =
            std::iter::once(self.ready.pid).chain(self.ready.workers.iter().map(|worker| worker.pid)).collect();
        let left: Vec<u32> = processes.iter().copied().filter(|pid| is_alive(*pid)).collect();
        if !left.is_empty() {
            bail!("processes {left:?} of the pool are left; {}", self.tail());
        }
        // The group also holds what the workers started.
        if rustix::process::test_kill_process_group(pid).is_ok() {
            bail!("a process of the pool's group {pid:?} is left; {}", self.tail());
        }
        self.stopped = true;
        if !status.success() {
            bail!("the pool ended with {status}; {}", self.tail());
        }
        Ok(processes.len())
    }

    fn wait_ready(&mut self, file: &Path) -> Result<Ready> {
        let deadline = Instant::now() + START_MAX;
        loop {
            // Written in one step: it is either absent or whole.
            if let Ok(text) = std::fs::read_to_string(file) {
                return serde_json::from_str(&text).with_context(|| format!("read the ready file {text:?}"));
            }
            if let Some(status) = self.child.try_wait().context("wait for the pool")? {
                bail!("the pool ended with {status} before it was ready; {}", self.tail());
            }
            if Instant::now() > deadline {
                bail!("the pool was not ready within {START_MAX:?}; {}", self.tail());
            }
            std::thread::sleep(POLL);
        }
    }

    /// The end of the pool's log, for error messages.
    fn tail(&self) -> String {
        let log = std::fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        let last = lines.get(lines.len().saturating_sub(20)..).unwrap_or_default();
        format!("the end of {}:\n{}", self.log.display(), last.join("\n"))
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        if !self.stopped {
            // Gone already is what we want.
            let _ = kill_process_group(Pid::from_child(&self.child), Signal::KILL);
            let _ = self.child.wait();
        }
    }
}

fn is_alive(pid: u32) -> bool {
    i32::try_from(pid).ok().and_then(Pid::from_raw).is_some_and(|pid| test_kill_process(pid).is_ok())
}
