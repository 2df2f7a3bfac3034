//! The worker process under test.

use std::{collections::VecDeque, net::SocketAddr, process::Stdio, sync::Arc};

use gen_worker_tasks::Scope;
use rustix::process::{Pid, Signal, kill_process};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _},
    process::{Child, ChildStdin, Command},
    sync::Mutex,
};

use super::plan::Plan;
use crate::{env::names, exit::Failure};

/// How much of what the worker printed last is kept, in bytes, to say why it ended.
const TAIL_BYTES: usize = 8 * 1024;

/// Bytes read from the worker's stderr at a time.
const CHUNK_BYTES: usize = 4 * 1024;

/// Backoff of the worker in seconds, base and cap: connections break all the time here, and waiting tests nothing.
const RECONNECT_SECONDS: [(&str, &str); 2] = [("RECONNECT_DELAY", "0.05"), ("RECONNECT_MAX_DELAY", "0.2")];

/// A running worker. It is killed with its guard.
pub(super) struct Worker {
    child: Child,
    /// The worker ends at once when this closes, which the kernel does even when we are killed.
    _lifeline: Option<ChildStdin>,
    tail: Arc<Mutex<VecDeque<u8>>>,
    _output: Scope,
}

impl Worker {
    /// Starts the `worker` command of the endpoint binary.
    pub(super) fn start(plan: &Plan, worker_id: &str, address: SocketAddr) -> Result<Self, Failure> {
        let mut child = Command::new(&plan.program)
            .args(["worker", "--exit-with-stdin", "--worker-id", worker_id, "--addr"])
            .arg(format!("grpc://{address}"))
            .args(&plan.args)
            .envs(RECONNECT_SECONDS)
            // Results outlive a killed worker, but not beside those of real ones.
            .env(names::GEN_WORKER_SPOOL_DIR.name, plan.spool.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(if plan.verbose { Stdio::inherit() } else { Stdio::piped() })
            // Its own group: Ctrl-C in the terminal reaches us alone.
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| Failure::usage(format!("could not start {}: {error}", plan.program.display())))?;
        let (tail, output) = (Arc::default(), Scope::new("worker-output"));
        if let Some(stderr) = child.stderr.take() {
            output.spawn("stderr", keep_tail(stderr, Arc::clone(&tail)));
        }
        Ok(Self { _lifeline: child.stdin.take(), child, tail, _output: output })
    }

    /// Sends a signal. The id is that of our own child, which was not reaped yet.
    pub(super) fn signal(&self, signal: Signal) {
        let id = self.child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
        if let Some(id) = id {
            // It fails only when the process has ended already.
            let _ = kill_process(id, signal);
        }
    }

    /// kill -9, and its end.
    pub(super) async fn kill(&mut self) {
        drop(self.child.kill().await);
    }

    /// How it ended: the exit code, none for a signal.
    pub(super) async fn ended(&mut self) -> Option<i32> {
        self.child.wait().await.ok().and_then(|status| status.code())
    }

    /// How it ended, in words, if it has.
    pub(super) fn has_ended(&mut self) -> Option<String> {
        self.child.try_wait().ok().flatten().map(|status| status.to_string())
    }

    /// What it printed last.
    pub(super) async fn last_words(&self) -> String {
        let tail: Vec<u8> = self.tail.lock().await.iter().copied().collect();
        String::from_utf8_lossy(&tail).trim().to_owned()
    }
}

/// Reads to the end, so that the worker never waits for us, and keeps the last bytes.
async fn keep_tail(mut output: impl AsyncRead + Unpin, tail: Arc<Mutex<VecDeque<u8>>>) {
    let mut chunk = [0; CHUNK_BYTES];
    while let Ok(count) = output.read(&mut chunk).await {
        if count == 0 {
            return;
        }
        let mut tail = tail.lock().await;
        tail.extend(chunk.iter().take(count));
        let excess = tail.len().saturating_sub(TAIL_BYTES);
        tail.drain(..excess);
    }
}
