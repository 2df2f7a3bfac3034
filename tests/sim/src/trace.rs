//! What happened in a run, in order and by virtual time. Owns the event log and the violations.

use std::{fmt, sync::Arc};

use parking_lot::Mutex;
use tokio::time::Instant;

/// The log of one run. Clones write into the same log.
#[derive(Clone, Debug)]
pub(crate) struct Trace {
    start: Instant,
    /// Whether lines are printed as they come.
    live: bool,
    log: Arc<Mutex<Log>>,
}

#[derive(Debug, Default)]
struct Log {
    lines: Vec<String>,
    violations: Vec<String>,
}

impl Trace {
    /// An empty log that starts now.
    pub(crate) fn start(live: bool) -> Self {
        Self { start: Instant::now(), live, log: Arc::default() }
    }

    /// Virtual milliseconds since the start.
    pub(crate) fn now_ms(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// Adds an event.
    pub(crate) fn note(&self, what: impl fmt::Display) {
        let line = format!("{:>8} {what}", self.now_ms());
        if self.live {
            print(&line);
        }
        self.log.lock().lines.push(line);
    }

    /// Adds something that must not be.
    pub(crate) fn violation(&self, what: impl fmt::Display) {
        self.note(format_args!("VIOLATION {what}"));
        self.log.lock().violations.push(what.to_string());
    }

    /// Notes a violation unless `holds`.
    pub(crate) fn check(&self, holds: bool, what: impl FnOnce() -> String) {
        if !holds {
            self.violation(what());
        }
    }

    /// Events so far.
    pub(crate) fn len(&self) -> usize {
        self.log.lock().lines.len()
    }

    /// What must not have been.
    pub(crate) fn violations(&self) -> Vec<String> {
        self.log.lock().violations.clone()
    }

    /// A digest of all events in order.
    pub(crate) fn digest(&self) -> String {
        let mut hasher = blake3::Hasher::new();
        for line in &self.log.lock().lines {
            hasher.update(line.as_bytes()).update(b"\n");
        }
        hasher.finalize().to_hex().chars().take(16).collect()
    }
}

/// Writes a line; a reader that went away is none of the run's business.
pub(crate) fn print(line: &str) {
    use std::io::Write;
    drop(writeln!(std::io::stdout().lock(), "{line}"));
}
