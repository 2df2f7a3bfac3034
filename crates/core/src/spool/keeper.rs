//! The thread that keeps results, and the handle through which it hears of them. Owns what waits for the disk; the
//! event loop and the writer only add to it.

use std::{
    collections::BTreeMap,
    fs::File,
    io,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use gen_worker_tasks::Scope;
use parking_lot::{Condvar, Mutex};
use tracing::{info, warn};

use super::{SpoolPolicy, record, segments::Segments};
use crate::outbox::{EndOutput, JobEnd};

/// Encoded records that are written together: amortizes the `fdatasync`, while the buffer stays small.
const BATCH_BYTES: usize = 4 * 1024 * 1024;

/// Results that may wait for the disk, in bytes: some seconds of a fast worker.
const PENDING_BYTES_MAX: usize = 64 * 1024 * 1024;

/// What a result holds besides its output and its text.
const RESULT_BYTES: usize = 256;

/// Handle on the spool. Clones share it; when it is closed or the last is gone the thread finishes what it was given
/// and ends.
#[derive(Clone, Debug)]
pub(crate) struct Spool(Arc<Handle>);

#[derive(Debug)]
struct Handle(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    policy: SpoolPolicy,
    next_record: AtomicU64,
    pending: Mutex<Pending>,
    wake: Condvar,
}

/// What waits for the thread.
#[derive(Debug, Default)]
struct Pending {
    keep: BTreeMap<u64, JobEnd>,
    /// Bytes of their outputs.
    bytes: usize,
    forget: Vec<u64>,
    closed: bool,
    /// Results were turned away since the thread last caught up.
    behind: bool,
}

/// What a result holds of memory, near enough.
fn size(end: &JobEnd) -> usize {
    let output = match &end.output {
        EndOutput::None => 0,
        EndOutput::Inline(bytes) => bytes.len(),
        EndOutput::BlobRef(file_ref) => file_ref.len(),
    };
    output + end.message.len() + RESULT_BYTES
}

impl Spool {
    pub(super) fn start(
        segments: Segments,
        next_record: u64,
        policy: SpoolPolicy,
        lock: File,
        scope: &Scope,
    ) -> io::Result<Self> {
        let shared = Arc::new(Shared {
            policy,
            next_record: AtomicU64::new(next_record),
            pending: Mutex::default(),
            wake: Condvar::new(),
        });
        let keeper = Keeper { shared: shared.clone(), segments, degraded: false, _lock: lock };
        scope.spawn_thread("spool", move || keeper.run())?;
        Ok(Self(Arc::new(Handle(shared))))
    }

    /// Notes the result for the disk if the policy wants that, and in it where it is kept. Does not wait.
    pub(crate) fn keep(&self, end: &mut JobEnd) {
        let shared = &self.0.0;
        if !shared.policy.keeps(end) {
            return;
        }
        let mut pending = shared.pending.lock();
        if pending.bytes >= PENDING_BYTES_MAX {
            // A disk that hangs must not cost the memory of the machine.
            if !std::mem::replace(&mut pending.behind, true) {
                warn!("the disk does not keep up: results stay in memory only");
            }
            return;
        }
        let number = shared.next_record.fetch_add(1, Ordering::Relaxed);
        end.record = Some(number);
        pending.bytes += size(end);
        pending.keep.insert(number, end.clone());
        shared.wake.notify_one();
    }

    /// These records are done with. Does not wait.
    pub(crate) fn forget(&self, records: &[u64]) {
        if records.is_empty() {
            return;
        }
        let mut pending = self.0.0.pending.lock();
        for record in records {
            match pending.keep.remove(record) {
                // It never gets to the disk.
                Some(end) => pending.bytes = pending.bytes.saturating_sub(size(&end)),
                None => pending.forget.push(*record),
            }
        }
        self.0.0.wake.notify_one();
    }

    /// Ends the thread once it finished what it was given; what comes later is not kept.
    pub(crate) fn close(&self) {
        self.0.0.close();
    }

    /// Whether the thread took everything it was given.
    #[cfg(test)]
    pub(super) fn is_taken(&self) -> bool {
        let pending = self.0.0.pending.lock();
        pending.keep.is_empty() && pending.forget.is_empty()
    }
}

impl Shared {
    fn close(&self) {
        self.pending.lock().closed = true;
        self.wake.notify_one();
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.0.close();
    }
}

struct Keeper {
    shared: Arc<Shared>,
    segments: Segments,
    /// The last batch did not get to the disk.
    degraded: bool,
    /// Lets other processes know that these files are in use.
    _lock: File,
}

impl Keeper {
    fn run(mut self) {
        let mut batch = Vec::new();
        loop {
            let (keep, forget) = {
                let mut pending = self.shared.pending.lock();
                while pending.keep.is_empty() && pending.forget.is_empty() {
                    if pending.closed {
                        return;
                    }
                    self.shared.wake.wait(&mut pending);
                }
                (pending.bytes, pending.behind) = (0, false);
                (std::mem::take(&mut pending.keep), std::mem::take(&mut pending.forget))
            };
            // Room is made before it is needed.
            self.segments.forget(forget.into_iter());
            self.keep_all(keep, &mut batch);
        }
    }

    /// Writes results in batches.
    fn keep_all(&mut self, keep: BTreeMap<u64, JobEnd>, batch: &mut Vec<u8>) {
        let mut numbers = Vec::new();
        for (number, end) in keep {
            if record::write_result(number, &end, batch) {
                numbers.push(number);
            } else {
                warn!(pair = %end.pair, "result is too large to be kept on disk");
            }
            if batch.len() >= BATCH_BYTES {
                self.write(batch, &mut numbers);
            }
        }
        self.write(batch, &mut numbers);
    }

    fn write(&mut self, batch: &mut Vec<u8>, numbers: &mut Vec<u64>) {
        if !numbers.is_empty() {
            let kept = self.segments.append(batch, numbers);
            let was_degraded = std::mem::replace(&mut self.degraded, kept.is_err());
            match kept {
                Ok(()) if was_degraded => info!("results are kept on disk again"),
                Ok(()) => {}
                Err(error) if !was_degraded => {
                    let cause = std::error::Error::source(&error).map(ToString::to_string).unwrap_or_default();
                    warn!(%error, cause, "finished results stay in memory only: a crash of this process would lose them");
                }
                Err(_) => {}
            }
        }
        batch.clear();
        numbers.clear();
    }
}
