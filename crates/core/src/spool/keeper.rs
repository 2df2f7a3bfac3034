//! The thread that keeps results, and the handle through which it hears of them. Owns what waits for the disk; the
//! event loop and the writer only add to it.

use std::{
    collections::{HashSet, VecDeque},
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
use crate::outbox::JobEnd;

/// Encoded records that are written together: amortizes the `fdatasync`, while the buffer stays small.
const BATCH_BYTES: usize = 4 * 1024 * 1024;

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

/// What waits for the thread. As many results as wait for the orchestrator, which are in memory anyway.
#[derive(Debug, Default)]
struct Pending {
    keep: VecDeque<(u64, JobEnd)>,
    forget: Vec<u64>,
    closed: bool,
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
        let number = shared.next_record.fetch_add(1, Ordering::Relaxed);
        end.record = Some(number);
        shared.pending.lock().keep.push_back((number, end.clone()));
        shared.wake.notify_one();
    }

    /// These records are done with. Does not wait.
    pub(crate) fn forget(&self, records: &[u64]) {
        if !records.is_empty() {
            self.0.0.pending.lock().forget.extend_from_slice(records);
            self.0.0.wake.notify_one();
        }
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
                (std::mem::take(&mut pending.keep), std::mem::take(&mut pending.forget))
            };
            // Room is made before it is needed.
            let mut gone: HashSet<u64> = forget.into_iter().collect();
            let keep: Vec<_> = keep.into_iter().filter(|(number, _)| !gone.remove(number)).collect();
            self.segments.forget(gone.into_iter());
            self.keep_all(keep, &mut batch);
        }
    }

    /// Writes results in batches.
    fn keep_all(&mut self, keep: Vec<(u64, JobEnd)>, batch: &mut Vec<u8>) {
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
