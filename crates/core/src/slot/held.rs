//! Memory that the children of a pool take. Owns the sum.

use std::sync::Arc;

use parking_lot::Mutex;

use crate::residency::Memory;

/// The sum over all children.
#[derive(Clone, Debug, Default)]
pub(super) struct HeldMemory(Arc<Mutex<Memory>>);

/// What one child takes. It is taken no more when this drops.
#[derive(Debug)]
pub(super) struct Share {
    sum: HeldMemory,
    own: Memory,
}

impl HeldMemory {
    pub(super) fn sum(&self) -> Memory {
        self.0.lock().clone()
    }

    /// A child takes `own`.
    pub(super) fn take(&self, own: Memory) -> Share {
        self.0.lock().add(&own);
        Share { sum: self.clone(), own }
    }
}

impl Share {
    pub(super) fn own(&self) -> &Memory {
        &self.own
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.sum.0.lock().sub(&self.own);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_child_took_is_free_when_it_is_gone() {
        let held = HeldMemory::default();
        let memory = |ram_bytes, vram: &[u64]| Memory { ram_bytes, vram_bytes: vram.to_vec() };
        let (first, second) = (held.take(memory(3, &[5])), held.take(memory(4, &[0, 7])));
        assert_eq!((held.sum(), first.own().ram_bytes), (memory(7, &[5, 7]), 3));
        drop(first);
        assert_eq!(held.sum(), memory(4, &[0, 7]));
        drop(second);
        assert_eq!(held.sum(), memory(0, &[0, 0]));
    }
}
