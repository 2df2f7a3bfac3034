//! In which numbers a model is kept and computed. A plain choice of values.

use candle_core::DType;
use gen_worker_core::context::Device;
use gen_worker_core::memory_ladder::{ComputeDtype, WeightStorage};

use super::Accelerators;

/// Types of a model in Candle.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Numbers {
    /// What it computes in; everything but the matrices of dense layers is kept in it.
    pub(super) compute: DType,
    /// What the matrices of dense layers are kept in: widened one by one when they are used.
    pub(super) kept: DType,
}

impl Numbers {
    /// What was asked for, as far as the device computes in it: a host does in 32 bits only. Weights are kept as asked
    /// in any case, so that they never take more than was planned.
    pub(crate) fn choose(
        compute: Option<ComputeDtype>,
        storage: WeightStorage,
        device: Device,
        accelerators: Accelerators,
    ) -> Self {
        let wanted = compute.map_or(DType::F32, dtype);
        let narrow = device != Device::Cpu && accelerators == Accelerators::Cuda;
        let kept = match storage {
            WeightStorage::Plain => wanted,
            WeightStorage::Fp8(_) => DType::F8E4M3,
            WeightStorage::Emergency4Bit => {
                tracing::warn!("weights are kept in 8 bits: this engine has no form of 4 bits");
                DType::F8E4M3
            }
        };
        let compute = match storage {
            WeightStorage::Fp8(compute) => dtype(compute),
            _ => wanted,
        };
        Self { compute: if narrow { compute } else { DType::F32 }, kept }
    }
}

fn dtype(compute: ComputeDtype) -> DType {
    match compute {
        ComputeDtype::Bf16 => DType::BF16,
        ComputeDtype::Fp16 => DType::F16,
        ComputeDtype::Fp32 => DType::F32,
    }
}
