//! How much memory this machine has and how much is free: the seam, and Linux's answer. Owns nothing.

use std::{fs, sync::Arc};

use crate::{gpu::GpuProbe, residency::Memory};

/// Where Linux tells.
const MEMINFO: &str = "/proc/meminfo";

/// Tells about memory.
pub trait MemoryProbe: Send + Sync {
    /// All there is.
    fn total(&self) -> Memory;

    /// What can be had now without taking it from anybody.
    fn free(&self) -> Memory;
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
        let vram_bytes = self.0.gpus().iter().map(|gpu| gpu.total_bytes).sum();
        Memory { ram_bytes: host("MemTotal:"), vram_bytes }
    }

    fn free(&self) -> Memory {
        Memory { ram_bytes: host("MemAvailable:"), vram_bytes: self.0.free_bytes() }
    }
}

fn host(line: &str) -> u64 {
    fs::read_to_string(MEMINFO).ok().and_then(|text| bytes(&text, line)).unwrap_or(u64::MAX)
}

/// The number of a line of `meminfo`, which counts in units of 1,024 bytes.
fn bytes(meminfo: &str, name: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix(name))?;
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
        assert!(memory.free().ram_bytes > 0 && memory.free().ram_bytes <= memory.total().ram_bytes);
        assert_eq!(memory.total().vram_bytes, 0);
    }
}
