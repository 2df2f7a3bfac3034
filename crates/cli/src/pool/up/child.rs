//! One worker process: started, named, restarted, and stopped with everything it printed passed on.

use std::{
    ffi::OsString,
    path::PathBuf,
    process::{ExitStatus, Stdio},
    time::{Duration, Instant},
};

use gen_worker_tasks::{Cancel, Scope};
use rustix::process::{Pid, Signal, kill_process};
use tokio::{
    process::{Child, ChildStdin, Command},
    sync::watch,
};
use tracing::{info, warn};

use super::{
    output::{Mark, pass_on},
    restart::{Next, Restarts},
};
use crate::exit::{Exit, Failure};

/// How much longer than its drain a worker may take before it is killed: flushing results and closing the stream.
const STOP_MARGIN: Duration = Duration::from_secs(10);

/// How long what a worker printed last may take to come through.
const OUTPUT_LIMIT: Duration = Duration::from_secs(1);

/// How long the kernel may take to end a killed process that waits for a disk.
const REAP_MARGIN: Duration = Duration::from_secs(5);

/// What to start.
#[derive(Clone, Debug)]
pub(super) struct WorkerSpec {
    /// Name in logs, such as `marco-polo/0`.
    pub(super) name: String,
    /// Identity in the pool; the same after a restart.
    pub(super) worker_id: String,
    /// The endpoint binary.
    pub(super) program: PathBuf,
    /// Its arguments.
    pub(super) args: Vec<OsString>,
    /// How its lines are marked.
    pub(super) mark: Mark,
    /// What its jobs get when it is stopped.
    pub(super) drain: Duration,
}

impl WorkerSpec {
    /// Longest time from a stop to the end of the process.
    pub(super) fn stop_limit(&self) -> Duration {
        self.drain + STOP_MARGIN + OUTPUT_LIMIT + REAP_MARGIN
    }
}

/// Keeps one worker running until `cancel` is stopped; `pid` always has the process that runs now. On return the
/// process has ended and was reaped.
///
/// # Errors
/// When it cannot be started at all, or ends in a way that says it never can.
pub(super) async fn supervise(
    spec: WorkerSpec,
    pid: watch::Sender<Option<u32>>,
    cancel: Cancel,
) -> Result<(), Failure> {
    let mut restarts = Restarts::default();
    while !cancel.is_stopped() {
        let started = Instant::now();
        let mut running = Running::start(&spec)?;
        pid.send_replace(running.child.id());
        let status = tokio::select! {
            status = running.ended() => status,
            () = cancel.stopped() => running.stop(&spec, &cancel).await,
        };
        pid.send_replace(None);
        running.output.join(OUTPUT_LIMIT).await;
        if cancel.is_stopped() {
            break;
        }
        let code = status.as_ref().and_then(ExitStatus::code);
        let shown = status.map_or_else(|| "unknown status".to_owned(), |status| status.to_string());
        match restarts.ended(started.elapsed(), code) {
            Next::GiveUp(exit) => {
                return Err(Failure::new(
                    exit,
                    format!("worker {} cannot start ({shown}); it said why above", spec.name),
                ));
            }
            Next::After(pause) => {
                warn!(worker = spec.name, status = shown, pause_ms = pause.as_millis(), "worker ended; restarting");
                tokio::select! {
                    () = tokio::time::sleep(pause) => {}
                    () = cancel.stopped() => {}
                }
            }
        }
    }
    Ok(())
}

/// A process that runs.
struct Running {
    child: Child,
    /// The worker ends at once when this closes, which the kernel does even when we are killed.
    _lifeline: Option<ChildStdin>,
    output: Scope,
}

impl Running {
    fn start(spec: &WorkerSpec) -> Result<Self, Failure> {
        let mut child = Command::new(&spec.program)
            .args(&spec.args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            // Its own group: Ctrl-C in the terminal reaches us alone, and we stop it in order.
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| {
                Failure::new(Exit::Usage, format!("could not start {}: {error}", spec.program.display()))
            })?;
        let output = Scope::new("worker-output");
        if let Some(stdout) = child.stdout.take() {
            output.spawn("stdout", pass_on(stdout, spec.mark.clone()));
        }
        if let Some(stderr) = child.stderr.take() {
            output.spawn("stderr", pass_on(stderr, spec.mark.clone()));
        }
        Ok(Self { _lifeline: child.stdin.take(), child, output })
    }

    async fn ended(&mut self) -> Option<ExitStatus> {
        // Waiting for our own child fails only when somebody else reaped it: then it has ended too.
        self.child.wait().await.ok()
    }

    /// Drains it, and kills it when that takes too long or a kill was asked for.
    async fn stop(&mut self, spec: &WorkerSpec, cancel: &Cancel) -> Option<ExitStatus> {
        self.terminate();
        tokio::select! {
            biased;
            status = self.child.wait() => return status.ok(),
            () = cancel.killed() => info!(worker = spec.name, "killing worker"),
            () = tokio::time::sleep(spec.drain + STOP_MARGIN) => {
                warn!(worker = spec.name, "worker did not drain in time; killing it");
            }
        }
        // It fails only when the process has ended already.
        drop(self.child.start_kill());
        self.ended().await
    }

    /// Asks for a drain. The id is that of our own child, which was not reaped yet, so it cannot be another process.
    fn terminate(&self) {
        let id = self.child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
        if let Some(id) = id {
            // It fails only when the process has ended already.
            let _ = kill_process(id, Signal::TERM);
        }
    }
}
