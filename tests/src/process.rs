//! A process that ends with its guard, and whose output can be waited for.

use std::{
    io::{BufRead as _, BufReader, Read},
    process::{Child, Command, ExitStatus, Stdio},
    sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use gen_worker_tasks::Scope;
use rustix::process::{Pid, Signal, kill_process, test_kill_process};

use crate::eventually::LIMIT;

/// A running process. Killed when dropped.
#[derive(Debug)]
pub struct Process {
    name: String,
    child: Child,
    lines: Receiver<String>,
    seen: Vec<String>,
}

/// A process that has ended.
#[derive(Debug)]
pub struct Ended {
    /// Its exit code; none when a signal ended it.
    pub code: Option<i32>,
    /// Everything it wrote on stdout.
    pub stdout: String,
    /// Everything it wrote on stderr.
    pub stderr: String,
}

impl Process {
    /// Starts `command`. Its stdout and stderr are read line by line; its stdin stays open until the guard drops.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn start(name: &str, command: &mut Command) -> Result<Self> {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .with_context(|| format!("start {name}"))?;
        let (sender, lines) = channel();
        let scope = Scope::new("output");
        if let Some(stdout) = child.stdout.take() {
            let sender = sender.clone();
            scope.spawn_thread("stdout", move || read(stdout, &sender))?;
        }
        if let Some(stderr) = child.stderr.take() {
            scope.spawn_thread("stderr", move || read(stderr, &sender))?;
        }
        Ok(Self { name: name.to_owned(), child, lines, seen: Vec::new() })
    }

    /// Runs `command` to its end, without input.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn output(command: &mut Command) -> Result<Ended> {
        let output = command.stdin(Stdio::null()).output().with_context(|| format!("start {command:?}"))?;
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        Ok(Ended { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) })
    }

    /// Id of the process.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Waits for a line that contains `text`, on stdout or stderr, and gives it.
    ///
    /// # Errors
    /// When the process ends first, or the limit passes; the text has what it wrote so far.
    pub fn wait_for_line(&mut self, text: &str) -> Result<String> {
        if let Some(line) = self.seen.iter().find(|line| line.contains(text)) {
            return Ok(line.clone());
        }
        let started = Instant::now();
        let why = loop {
            match self.lines.recv_timeout(LIMIT.saturating_sub(started.elapsed())) {
                Ok(line) => {
                    self.seen.push(line);
                    if let Some(line) = self.seen.last().filter(|line| line.contains(text)) {
                        return Ok(line.clone());
                    }
                }
                Err(RecvTimeoutError::Timeout) => break format!("did not say {text:?} in {LIMIT:?}"),
                Err(RecvTimeoutError::Disconnected) => break format!("ended before it said {text:?}"),
            }
        };
        let log = self.log();
        bail!("{} {why}:\n{log}", self.name)
    }

    /// Sends a signal.
    ///
    /// # Errors
    /// When the process is gone.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        let id = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw).context("no process id")?;
        kill_process(id, signal).with_context(|| format!("signal {}", self.name))
    }

    /// Waits for the end.
    ///
    /// # Errors
    /// When it does not end within the limit.
    pub fn wait(&mut self) -> Result<ExitStatus> {
        let name = self.name.clone();
        let child = &mut self.child;
        crate::eventually(&format!("the end of {name}"), || child.try_wait().ok().flatten())
    }

    /// Whether it still runs.
    pub fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Everything it wrote so far.
    pub fn log(&mut self) -> String {
        self.seen.extend(self.lines.try_iter());
        self.seen.join("\n")
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended already.
        drop(self.child.kill());
        drop(self.child.wait());
        if std::thread::panicking() {
            // Whoever reads a failed test wants to know what its processes said.
            while let Ok(line) = self.lines.recv_timeout(Duration::from_millis(100)) {
                self.seen.push(line);
            }
            eprintln!("--- {} ---\n{}", self.name, self.seen.join("\n"));
        }
    }
}

fn read(output: impl Read, lines: &Sender<String>) {
    for line in BufReader::new(output).split(b'\n') {
        let Ok(line) = line else { return };
        if lines.send(String::from_utf8_lossy(&line).into_owned()).is_err() {
            return;
        }
    }
}

/// Whether a process with this id runs. One that has ended but that nobody has waited for does not.
#[must_use]
pub fn is_alive(id: u32) -> bool {
    let exists = i32::try_from(id).ok().and_then(Pid::from_raw).is_some_and(|id| test_kill_process(id).is_ok());
    // The state follows the name, which is in parentheses and may hold anything.
    let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).unwrap_or_default();
    let ended = stat.rsplit_once(") ").is_some_and(|(_, rest)| rest.starts_with('Z'));
    exists && !ended
}
