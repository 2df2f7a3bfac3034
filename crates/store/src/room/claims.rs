//! Space that transfers were promised and have not filled yet, of all processes: each says its sum in a file that it holds locked,
//! so a promise ends with its process. Owns the sum of this one.
//!
//! ```text
//! transfer: sum of this process ──(far from what was told)──> one job: writes the sum, twenty bytes and seldom
//! ```
//! Who changes the sum never waits for the disk: a transfer goes on while the disk does not answer.

use std::{
    fs, io,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use gen_worker_tasks::Scope;
use parking_lot::Mutex;
use tokio::runtime::Handle;

use crate::{
    durable,
    layout::{Layout, PROMISE_LOCK},
    lock::{Hold, StoreLock},
    progress::{Progress, Transferred},
};

/// How much of what is filled need not be told to others yet: little beside the headroom that each of them leaves.
const UNTOLD_BYTES_MAX: u64 = 64 << 20;

/// What this process was promised, and how others hear of it. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Claims(Arc<Shared>);

/// The numbers are in one order for all threads: of who changes the sum and who has just told it, one sees the other's.
struct Shared {
    layout: Layout,
    scope: Arc<Scope>,
    all: AtomicU64,
    /// What others were told.
    told: AtomicU64,
    /// Somebody is about to tell, and looks at the sum again afterwards.
    telling: AtomicBool,
    /// The file, once there was something to tell. Held while it is written.
    file: Mutex<Option<StoreLock>>,
}

impl Claims {
    /// Nothing is promised yet. What is told later is a job of `scope`.
    pub(crate) fn new(layout: Layout, scope: Arc<Scope>) -> Self {
        let (all, told, telling, file) =
            (AtomicU64::new(0), AtomicU64::new(0), AtomicBool::new(false), Mutex::default());
        Self(Arc::new(Shared { layout, scope, all, told, telling, file }))
    }

    /// Whether others know the sum as well as they have to.
    pub(super) fn are_told(&self) -> bool {
        self.0.untold(UNTOLD_BYTES_MAX).is_none()
    }

    /// Tells others, if they have to know, and waits for who is about it. Blocks.
    pub(super) fn settle(&self) {
        // What cannot be told now is told with the next change; until then others leave more free than they have to.
        drop(self.0.tell(UNTOLD_BYTES_MAX));
    }

    /// Has others told, if they have to know. Blocks where no runtime is only.
    fn tell_soon(&self) {
        if self.are_told() || self.0.telling.swap(true, Ordering::SeqCst) {
            return;
        }
        let shared = Arc::clone(&self.0);
        if Handle::try_current().is_ok() {
            drop(self.0.scope.spawn_blocking(move || shared.catch_up()));
        } else {
            shared.catch_up();
        }
    }

    /// Bytes that are not free, whatever the disk says: promised to this process and all others. Who calls holds the lock `room`.
    /// Blocks.
    pub(super) fn bytes(&self) -> io::Result<u64> {
        let own = self.0.file.lock().as_ref().map(|lock| lock.path().to_owned());
        let mut sum = self.0.all.load(Ordering::SeqCst);
        for entry in fs::read_dir(self.0.layout.locks())? {
            let path = entry?.path();
            let is_promise =
                path.file_name().and_then(|name| name.to_str()).is_some_and(|name| name.starts_with(PROMISE_LOCK));
            if is_promise && own.as_ref() != Some(&path) {
                sum = sum.saturating_add(promised(path)?);
            }
        }
        Ok(sum)
    }

    /// Promises `bytes` more, until it is dropped. Who calls holds the lock `room`. Blocks.
    pub(super) fn claim(&self, bytes: u64) -> io::Result<Claim> {
        self.0.all.fetch_add(bytes, Ordering::SeqCst);
        let claim = Claim { all: self.clone(), left: bytes.into() };
        self.0.tell(0)?;
        Ok(claim)
    }
}

/// What the process that holds `path` was promised; nothing when it is no more. Blocks.
fn promised(path: PathBuf) -> io::Result<u64> {
    if let Some(lock) = StoreLock::try_take(&path, Hold::Alone)? {
        lock.remove()?;
        return Ok(0);
    }
    let noted = durable::read_bounded(&path, NOTE_BYTES)?.unwrap_or_default();
    // One that has just been made says nothing yet, and who makes it holds the lock `room`.
    Ok(String::from_utf8(noted).ok().and_then(|text| text.parse().ok()).unwrap_or(0))
}

/// As many digits as the largest sum has: each note covers the one before.
const NOTE_BYTES: u64 = 20;

impl Shared {
    /// The sum, unless others know it, or were told more by no more than `untold_max`.
    fn untold(&self, untold_max: u64) -> Option<u64> {
        let (bytes, told) = (self.all.load(Ordering::SeqCst), self.told.load(Ordering::SeqCst));
        let is_near = bytes > 0 && bytes <= told && told - bytes < untold_max;
        (bytes != told && !is_near).then_some(bytes)
    }

    /// Tells others the sum, unless what was told is more by no more than `untold_max`. Blocks.
    fn tell(&self, mut untold_max: u64) -> io::Result<()> {
        let mut file = self.file.lock();
        while let Some(bytes) = self.untold(untold_max) {
            let lock = match &mut *file {
                Some(lock) => lock,
                none => none.insert(self.open()?),
            };
            lock.note_over(format!("{bytes:020}").as_bytes())?;
            self.told.store(bytes, Ordering::SeqCst);
            // Again only for who changed the sum meanwhile and saw what was told before.
            untold_max = UNTOLD_BYTES_MAX;
        }
        Ok(())
    }

    /// Tells until others know. For who has set `telling`. Blocks.
    fn catch_up(&self) {
        loop {
            let told = self.tell(UNTOLD_BYTES_MAX);
            self.telling.store(false, Ordering::SeqCst);
            // What cannot be told now is told with the next change; until then others leave more free than they have to.
            let is_done = told.is_err() || self.untold(UNTOLD_BYTES_MAX).is_none();
            // Else the sum changed after it was told, by somebody who relied on this.
            if is_done || self.telling.swap(true, Ordering::SeqCst) {
                return;
            }
        }
    }

    fn open(&self) -> io::Result<StoreLock> {
        let path = self.layout.locks().join(format!("{PROMISE_LOCK}{}", durable::unique()));
        loop {
            // Whoever looks for promises of processes that are no more may have it for a moment.
            if let Some(lock) = StoreLock::try_take(&path, Hold::Alone)? {
                return Ok(lock);
            }
            std::thread::yield_now();
        }
    }
}

/// A promise.
pub(crate) struct Claim {
    all: Claims,
    left: AtomicU64,
}

impl Claim {
    /// So much of it is not filled yet. Does not block where a runtime is.
    fn is_left(&self, bytes: u64) {
        let before = self.left.swap(bytes, Ordering::Relaxed);
        // Wrapping on purpose: a transfer that starts again wants more.
        self.all.0.all.fetch_add(bytes.wrapping_sub(before), Ordering::SeqCst);
        self.all.tell_soon();
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        self.is_left(0);
    }
}

/// Passes on how far a transfer is; what is there needs no promise any more.
pub(crate) struct Claiming {
    claim: Option<Claim>,
    all: Arc<dyn Progress>,
}

impl Claiming {
    pub(crate) fn over(claim: Option<Claim>, all: &Arc<dyn Progress>) -> Arc<dyn Progress> {
        Arc::new(Self { claim, all: Arc::clone(all) })
    }
}

impl Progress for Claiming {
    fn transferred(&self, so_far: Transferred) {
        self.claim.iter().for_each(|claim| claim.is_left(so_far.bytes_total.saturating_sub(so_far.bytes_done)));
        self.all.transferred(so_far);
    }
}

#[cfg(test)]
mod tests;
