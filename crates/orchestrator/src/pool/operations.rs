//! Model operations that one worker was sent: one at a time per ref, each with a reply timeout (O26), failed ones again after a
//! while (11.6). Void when the worker connects anew.

use std::{collections::BTreeMap, time::Duration};

use gen_worker_proto::pb::{ModelOpKind, ModelState};

use super::clock::Tick;

/// Longest silence of a download or a load; every progress starts it anew (O26).
const SILENCE_MAX: Duration = Duration::from_secs(10 * 60);

/// The same for what takes no transfer.
const SHORT_SILENCE_MAX: Duration = Duration::from_secs(60);

/// Pause after the first failure, doubled with each further one. Long: the usual reasons, a full disk or a model that does not load,
/// do not pass by themselves within seconds.
const PAUSE_FIRST: Duration = Duration::from_secs(5);
const PAUSE_MAX: Duration = Duration::from_secs(5 * 60);

/// Failures for want of files, or of addresses that still work, after which there is a pause all the same.
const REFILLS_MAX: u32 = 3;

/// How long a worker has to tell of the functions that a load made available, or an unload did not, before another one is sent.
const SETTLING: Duration = Duration::from_secs(5);

/// The operations of a worker, by ref.
#[derive(Debug, Default)]
pub(crate) struct Operations(BTreeMap<String, Operation>);

#[derive(Debug, Default)]
struct Operation {
    pending: Option<Pending>,
    /// Since the last success.
    failures: u32,
    /// Nothing is sent before.
    pause_until: Tick,
    /// Digest that was sent last.
    digest: String,
}

#[derive(Debug)]
struct Pending {
    kind: ModelOpKind,
    /// When it is over if nothing more is heard.
    due: Tick,
}

/// What the end of an operation means for the pool.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    /// It was done, with the files of this digest.
    Done(String),
    /// The model does not fit beside what is loaded.
    NoMemory,
    /// The addresses were over, or none were given.
    Unfetchable,
    /// It failed otherwise.
    Failed,
}

impl Operations {
    /// One was sent.
    pub(crate) fn sent(&mut self, reference: &str, kind: ModelOpKind, digest: &str, now: Tick) {
        let operation = self.0.entry(reference.to_owned()).or_default();
        if operation.digest != digest && kind != ModelOpKind::Unload {
            digest.clone_into(&mut operation.digest);
            operation.failures = 0;
        }
        operation.pending = Some(Pending { kind, due: now.after(silence_max(kind)) });
    }

    /// A worker told of a model. Gives how its operation ended, if it did.
    pub(crate) fn told(&mut self, reference: &str, state: ModelState, error: &str, now: Tick) -> Option<Ended> {
        let operation = self.0.get_mut(reference)?;
        let pending = operation.pending.as_mut()?;
        let is_done = match (pending.kind, state) {
            (_, ModelState::Failed) => false,
            (ModelOpKind::Download, ModelState::OnDisk | ModelState::InRam | ModelState::InVram)
            | (ModelOpKind::Load, ModelState::InRam | ModelState::InVram)
            | (ModelOpKind::Unload, ModelState::InRam | ModelState::OnDisk | ModelState::Evicted) => true,
            _ => {
                pending.due = now.after(silence_max(pending.kind));
                return None;
            }
        };
        let settles = pending.kind != ModelOpKind::Download;
        operation.pending = None;
        if is_done {
            operation.failures = 0;
            operation.pause_until = if settles { now.after(SETTLING) } else { Tick::default() };
            return Some(Ended::Done(operation.digest.clone()));
        }
        Some(operation.failed(error, now))
    }

    /// Whether nothing may be sent for a ref now; files of another digest than the last do not wait for what became of those.
    pub(crate) fn is_busy(&self, reference: &str, digest: &str) -> bool {
        let blocks = |operation: &Operation| operation.pending.is_some() || operation.digest == digest;
        self.0.get(reference).is_some_and(|operation| blocks(operation) && operation.is_open())
    }

    /// Whether the worker was told to load or download these files on this connection.
    pub(crate) fn has_tried(&self, reference: &str, digest: &str) -> bool {
        self.0.get(reference).is_some_and(|operation| operation.digest == digest)
    }

    /// Refs that are being loaded.
    pub(crate) fn loading(&self) -> impl Iterator<Item = &str> {
        let loads = |operation: &Operation| operation.pending.as_ref().is_some_and(|p| p.kind == ModelOpKind::Load);
        self.0.iter().filter(move |(_, operation)| loads(operation)).map(|(reference, _)| reference.as_str())
    }

    /// Something that stood in the way of a ref is gone.
    pub(crate) fn hurry(&mut self, reference: &str, now: Tick) {
        if let Some(operation) = self.0.get_mut(reference) {
            operation.pause_until = now;
        }
    }

    /// Gives up operations of which nothing was heard for too long (O26), and ends pauses that are over.
    pub(crate) fn pass(&mut self, now: Tick) {
        for operation in self.0.values_mut() {
            if operation.pending.as_ref().is_some_and(|pending| pending.due <= now) {
                operation.pending = None;
                operation.failed("", now);
            }
            if operation.pause_until <= now {
                operation.pause_until = Tick::default();
            }
        }
    }

    /// When something of that is next due.
    pub(crate) fn due(&self) -> Option<Tick> {
        let due = |operation: &Operation| match &operation.pending {
            Some(pending) => Some(pending.due),
            None => (operation.pause_until > Tick::default()).then_some(operation.pause_until),
        };
        self.0.values().filter_map(due).min()
    }

    /// Forgets all: the worker has connected anew.
    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }
}

impl Operation {
    /// Books a failure, in the words of 11.6; unknown ones are failed loads.
    fn failed(&mut self, error: &str, now: Tick) -> Ended {
        self.failures = self.failures.saturating_add(1);
        let ended = match error {
            "oom" => Ended::NoMemory,
            "url_expired" | "missing_snapshot" => Ended::Unfetchable,
            _ => Ended::Failed,
        };
        let free = if ended == Ended::Unfetchable { REFILLS_MAX } else { 0 };
        self.pause_until = match self.failures.saturating_sub(free) {
            0 => Tick::default(),
            paid => now.after(PAUSE_FIRST.saturating_mul(1 << (paid - 1).min(16)).min(PAUSE_MAX)),
        };
        ended
    }

    fn is_open(&self) -> bool {
        self.pending.is_some() || self.pause_until > Tick::default()
    }
}

fn silence_max(kind: ModelOpKind) -> Duration {
    match kind {
        ModelOpKind::Download | ModelOpKind::Load => SILENCE_MAX,
        _ => SHORT_SILENCE_MAX,
    }
}

#[cfg(test)]
mod tests;
