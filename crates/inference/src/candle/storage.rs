//! Where tensors are: opening devices, moving between them, and what it all takes. Owns nothing.

use std::collections::HashMap;

use candle_core::{Device as CandleDevice, Tensor, TensorId};
use gen_worker_core::context::Device;

/// What the accelerators of this process are made of.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Accelerators {
    /// CUDA devices, where Candle was built with it.
    #[default]
    Cuda,
    /// Host memory that plays an accelerator: for tests, and to try residency on a machine that has none. What moves
    /// there is a copy of its own.
    Host,
}

impl Accelerators {
    /// The device as Candle knows it.
    ///
    /// # Errors
    ///
    /// When there is no such device, or this build cannot use it.
    pub(super) fn open(self, device: Device) -> candle_core::Result<CandleDevice> {
        match (device, self) {
            (Device::Cpu, _) | (Device::Cuda(_), Self::Host) => Ok(CandleDevice::Cpu),
            (Device::Cuda(ordinal), Self::Cuda) => {
                CandleDevice::new_cuda(usize::try_from(ordinal).unwrap_or(usize::MAX))
            }
        }
    }
}

/// Copies tensors to one device. What they shared they share there, too.
pub(super) struct Mover {
    device: CandleDevice,
    done: HashMap<TensorId, Tensor>,
}

impl Mover {
    pub(super) fn to(device: CandleDevice) -> Self {
        Self { device, done: HashMap::new() }
    }

    /// The tensor on the device, in memory of its own.
    pub(super) fn bring(&mut self, tensor: &Tensor) -> candle_core::Result<Tensor> {
        if let Some(done) = self.done.get(&tensor.id()) {
            return Ok(done.clone());
        }
        let there = match tensor.device().same_device(&self.device) {
            true => tensor.force_contiguous()?,
            false => tensor.to_device(&self.device)?,
        };
        self.done.insert(tensor.id(), there.clone());
        Ok(there)
    }
}

/// What tensors take; storage that several of them share counts once, as far as they reach into it.
pub(super) fn bytes<'a>(tensors: impl Iterator<Item = &'a Tensor>) -> u64 {
    let mut reached: HashMap<usize, usize> = HashMap::new();
    for tensor in tensors {
        let (storage, layout) = tensor.storage_and_layout();
        let end = layout.start_offset() + layout.shape().elem_count();
        let address = std::ptr::from_ref(&*storage).addr();
        let reach = reached.entry(address).or_default();
        *reach = (*reach).max(end * tensor.dtype().size_in_bytes());
    }
    reached.values().fold(0, |sum, bytes| sum.saturating_add(*bytes as u64))
}
