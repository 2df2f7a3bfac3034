//! How much memory this machine has and how much is free: the seam, and Linux's answer. Owns nothing.

use std::{fs, sync::Arc};

use crate::{gpu::GpuProbe, residency::Memory};

/// Where Linux tells of the machine.
const MEMINFO: &str = "/proc/meminfo";

/// And of this process.
const STATUS: &str = "/proc/self/status";

/// Tells about memory.
pub trait MemoryProbe: Send + Sync {
    /// All there is. Constant, but may take long the first time.
    fn total(&self) -> Memory;

    /// Host memory that can be had now without taking it from anybody.
    fn free_ram(&self) -> u64;

    /// Free memory of each accelerator, by ordinal; none where nobody can tell (see [`GpuProbe::free_bytes`]). May
    /// block for a millisecond.
    fn free_vram(&self) -> Vec<Option<u64>>;
}

/// Memory of the host by `/proc/meminfo`, of accelerators by their driver. Where the host does not tell, it counts as
/// endless: then nothing is ever unloaded for its sake.
pub struct SystemMemory(Arc<dyn GpuProbe>);

impl SystemMemory {
    /// With the accelerators of `gpus`.
    #[must_use]
    pub fn new(gpus: Arc<dyn GpuProbe>) -> Self {
        Self(gpus)
    }
}

impl MemoryProbe for SystemMemory {
    fn total(&self) -> Memory {
        let vram_bytes = self.0.gpus().iter().map(|gpu| gpu.total_bytes).collect();
        Memory { ram_bytes: told(MEMINFO, "MemTotal:").unwrap_or(u64::MAX), vram_bytes }
    }

    fn free_ram(&self) -> u64 {
        told(MEMINFO, "MemAvailable:").unwrap_or(u64::MAX)
    }

    fn free_vram(&self) -> Vec<Option<u64>> {
        self.0.free_bytes()
    }
}

/// The largest resident size this process ever had, in bytes; none where the system does not tell.
pub(crate) fn own_peak_bytes() -> Option<u64> {
    let text = fs::read_to_string(STATUS).ok()?;
    // The mark is brought up to date now and then only, so that the size may be above it.
    bytes(&text, "VmHWM:").max(bytes(&text, "VmRSS:"))
}

/// The resident size of this process, in bytes; none where the system does not tell.
pub(crate) fn own_resident_bytes() -> Option<u64> {
    told(STATUS, "VmRSS:")
}

fn told(file: &str, line: &str) -> Option<u64> {
    fs::read_to_string(file).ok().and_then(|text| bytes(&text, line))
}

/// The number of a line of such a file, which counts in units of 1,024 bytes.
fn bytes(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    //! Reading what Linux writes.
    use super::*;
    use crate::gpu::NoGpus;

    #[test]
    fn lines_are_read_in_their_unit() {
        let text = "MemTotal:       24575012 kB\nMemFree:          1 kB\nMemAvailable:   20000 kB\nHuge: x\n";
        assert_eq!(bytes(text, "MemTotal:"), Some(24_575_012 * 1024));
        assert_eq!(bytes(text, "MemAvailable:"), Some(20_000 * 1024));
        assert_eq!(bytes(text, "Huge:"), None);
        assert_eq!(bytes(text, "None:"), None);
    }

    #[test]
    fn this_machine_has_memory() {
        let memory = SystemMemory::new(Arc::new(NoGpus));
        assert!(memory.free_ram() > 0 && memory.free_ram() <= memory.total().ram_bytes);
        assert_eq!((memory.total().vram_bytes, memory.free_vram()), (vec![], vec![]));
    }

    #[test]
    fn this_process_has_a_size() {
        let sizes = (own_resident_bytes(), own_peak_bytes());
        assert!(sizes.0.unwrap_or(1) > 0 && sizes.1.unwrap_or(1) > 0);
    }
}
