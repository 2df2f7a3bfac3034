//! The most memory that was in use while one job ran. Written by whatever watches the job, read when it ends.

mod watch;

use std::sync::atomic::{AtomicU64, Ordering};

pub(crate) use watch::{LAST_LOOK_MAX, VramWatch};

/// High-water marks of one job, in bytes. They only rise.
#[derive(Debug, Default)]
pub(crate) struct Peaks {
    ram_bytes: AtomicU64,
    vram_bytes: AtomicU64,
}

impl Peaks {
    /// So much host memory was in use, besides that of this process.
    pub(crate) fn saw_ram(&self, bytes: u64) {
        self.ram_bytes.fetch_max(bytes, Ordering::Relaxed);
    }

    /// So much was in use on the accelerators of the job, by whomever: drivers tell of whole devices, so this is an
    /// upper bound of what the job used itself.
    pub(crate) fn saw_vram(&self, bytes: u64) {
        self.vram_bytes.fetch_max(bytes, Ordering::Relaxed);
    }

    /// The most host memory that was seen, besides that of this process; 0 when nobody looked.
    pub(crate) fn ram_bytes(&self) -> u64 {
        self.ram_bytes.load(Ordering::Relaxed)
    }

    /// The most memory of accelerators that was seen; 0 when nobody looked.
    pub(crate) fn vram_bytes(&self) -> u64 {
        self.vram_bytes.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests;
