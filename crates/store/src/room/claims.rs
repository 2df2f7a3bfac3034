//! Space that transfers were promised and have not filled yet, of all processes: each says its sum in a file that it holds locked,
//! so a promise ends with its process. Owns the sum of this one. The file is written by whoever changes the sum: twenty bytes, and
//! seldom.

use std::{
    fs, io,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use parking_lot::Mutex;

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

struct Shared {
    layout: Layout,
    all: AtomicU64,
    told: Mutex<Told>,
}

/// The file, once there was something to tell.
#[derive(Default)]
struct Told {
    lock: Option<StoreLock>,
    bytes: u64,
}

impl Claims {
    pub(crate) fn new(layout: Layout) -> Self {
        Self(Arc::new(Shared { layout, all: AtomicU64::new(0), told: Mutex::default() }))
    }

    /// Bytes that are not free, whatever the disk says: promised to this process and all others. Who calls holds the lock `room`.
    /// Blocks.
    pub(super) fn bytes(&self) -> io::Result<u64> {
        let own = self.0.told.lock().lock.as_ref().map(|lock| lock.path().to_owned());
        let mut sum = self.0.all.load(Ordering::Relaxed);
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
        self.0.all.fetch_add(bytes, Ordering::Relaxed);
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
    /// Tells others the sum, unless what was told is more by no more than `untold_max`. Blocks.
    fn tell(&self, untold_max: u64) -> io::Result<()> {
        let mut told = self.told.lock();
        let bytes = self.all.load(Ordering::Relaxed);
        let is_near = bytes > 0 && bytes <= told.bytes && told.bytes - bytes < untold_max;
        if is_near || bytes == told.bytes {
            return Ok(());
        }
        let lock = match &mut told.lock {
            Some(lock) => lock,
            none => none.insert(self.open()?),
        };
        lock.note_over(format!("{bytes:020}").as_bytes())?;
        told.bytes = bytes;
        Ok(())
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
    /// So much of it is not filled yet.
    fn is_left(&self, bytes: u64) {
        let before = self.left.swap(bytes, Ordering::Relaxed);
        // Wrapping on purpose: a transfer that starts again wants more.
        self.all.0.all.fetch_add(bytes.wrapping_sub(before), Ordering::Relaxed);
        // What cannot be told now is told with the next change; until then others leave more free than they have to.
        drop(self.all.0.tell(UNTOLD_BYTES_MAX));
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
