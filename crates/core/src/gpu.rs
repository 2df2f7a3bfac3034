//! The accelerators of this machine: the seam to their driver, and what is derived from its facts.
//!
//! No driver is needed to build or to run: [`CudaDriver`] loads it when it is there.

mod cuda;

use gen_worker_proto::pb;

pub use cuda::CudaDriver;

/// Free memory is told in steps of a twentieth of the total, so that noise is no news (wire contract, StateDelta).
const FREE_STEPS: u64 = 20;

/// One accelerator, as its driver describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gpu {
    /// Name of the product.
    pub name: String,
    /// Compute capability: major and minor.
    pub capability: (u16, u16),
    /// Memory in bytes.
    pub total_bytes: u64,
}

/// Tells about accelerators.
pub trait GpuProbe: Send + Sync {
    /// All that this process may use, by ordinal. Constant over its life; may take long the first time.
    fn gpus(&self) -> Vec<Gpu>;

    /// Free memory of each of them in bytes, by ordinal; none for one that this process never used, since nobody can
    /// ask about it. Asks the driver, which may take a millisecond: not for the event loop.
    fn free_bytes(&self) -> Vec<Option<u64>>;
}

/// A machine without accelerators.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoGpus;

impl GpuProbe for NoGpus {
    fn gpus(&self) -> Vec<Gpu> {
        Vec::new()
    }

    fn free_bytes(&self) -> Vec<Option<u64>> {
        Vec::new()
    }
}

impl Gpu {
    /// The capability as `89`, two digits joined.
    #[must_use]
    pub fn sm(&self) -> u32 {
        u32::from(self.capability.0) * 10 + u32::from(self.capability.1)
    }
}

/// Fills in what Hello says of the accelerators.
pub fn describe(gpus: &[Gpu], resources: &mut pb::WorkerResources) {
    let total: u64 = gpus.iter().map(|gpu| gpu.total_bytes).sum();
    resources.gpu_count = i32::try_from(gpus.len()).unwrap_or(i32::MAX);
    resources.vram_total_bytes = i64::try_from(total).unwrap_or(i64::MAX);
    if let Some(first) = gpus.first() {
        resources.gpu_name.clone_from(&first.name);
        resources.gpu_sm = first.sm().to_string();
    }
}

/// Free memory as it is told: rounded down to a step.
pub(crate) fn told_free_bytes(free: u64, total: i64) -> i64 {
    let step = u64::try_from(total).unwrap_or(0) / FREE_STEPS;
    let rounded = free.checked_div(step).map_or(0, |steps| steps * step);
    i64::try_from(rounded).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    //! What Hello and StateDelta say.
    use super::*;

    fn card(name: &str, gib: u64) -> Gpu {
        Gpu { name: name.into(), capability: (8, 9), total_bytes: gib << 30 }
    }

    #[test]
    fn w11_8_the_total_is_the_sum_and_the_rest_describes_the_first() {
        let mut resources = pb::WorkerResources::default();
        describe(&[card("L4", 24), card("L40", 48)], &mut resources);
        assert_eq!((resources.gpu_count, resources.vram_total_bytes), (2, 72 << 30));
        assert_eq!((resources.gpu_name.as_str(), resources.gpu_sm.as_str()), ("L4", "89"));
        let mut none = pb::WorkerResources::default();
        describe(&[], &mut none);
        assert_eq!(none, pb::WorkerResources::default());
    }

    #[test]
    fn free_memory_is_told_in_steps_of_five_percent() {
        assert_eq!(told_free_bytes(99, 100), 95);
        assert_eq!(told_free_bytes(100, 100), 100);
        assert_eq!(told_free_bytes(4, 100), 0);
        assert_eq!(told_free_bytes(7, 0), 0, "no accelerator");
    }

    #[test]
    fn a_machine_without_a_driver_has_no_gpus() {
        // Where a driver is installed this shows that asking it twice is safe and gives the same.
        let driver = CudaDriver::default();
        assert_eq!(driver.gpus(), driver.gpus());
        let (gpus, free) = (driver.gpus(), driver.free_bytes());
        assert_eq!(gpus.len(), free.len());
        assert!(gpus.iter().zip(free).all(|(gpu, free)| free.is_none_or(|free| free <= gpu.total_bytes)));
    }
}
