//! Sizes, and how stages are grouped.
use candle_core::{DType, Device as CandleDevice};
use gen_worker_core::memory_ladder::{ComputeDtype, WeightStorage};

use super::*;

fn placement(device: Device, offload: OffloadMode) -> Placement {
    let numbers = Numbers::choose(None, WeightStorage::Plain, device, Accelerators::Host);
    Placement { device, accelerators: Accelerators::Host, offload, numbers }
}

#[test]
fn m10_4_shared_storage_counts_once() {
    let table = Tensor::zeros((10, 4), DType::F32, &CandleDevice::Cpu).expect("a tensor");
    let tied = table.clone();
    let view = table.narrow(0, 2, 3).expect("a view");
    let other = Tensor::zeros(7, DType::F16, &CandleDevice::Cpu).expect("a tensor");
    assert_eq!(storage::bytes([&table, &tied, &view, &other].into_iter()), 10 * 4 * 4 + 7 * 2);
    assert_eq!(storage::bytes([&view].into_iter()), 5 * 4 * 4, "as far as it reaches");
    let mut mover = Mover::to(CandleDevice::Cpu);
    let moved = [&table, &tied].map(|tensor| mover.bring(tensor).expect("moved"));
    assert_eq!(storage::bytes(moved.iter()), 160, "what is tied stays so");
    assert_eq!(storage::bytes(moved.iter().chain([&table])), 320, "in memory of its own");
}

#[test]
fn m10_3_each_rung_brings_less_at_once() {
    let groups = |mode| placement(Device::Cuda(0), mode).groups(5);
    let whole = 0..5;
    assert_eq!(groups(OffloadMode::Off), std::slice::from_ref(&whole));
    assert_eq!(groups(OffloadMode::VaeOnly), [whole]);
    assert_eq!(groups(OffloadMode::Model), [0..1, 1..5], "one component at a time");
    assert_eq!(groups(OffloadMode::Group), [0..2, 2..4, 4..5]);
    assert_eq!(groups(OffloadMode::Sequential), [0..1, 1..2, 2..3, 3..4, 4..5]);
    assert!(!placement(Device::Cpu, OffloadMode::Sequential).is_spread(), "a host has nowhere to spread to");
}

#[test]
fn m10_7_numbers_are_kept_as_planned_and_computed_as_the_device_can() {
    let choose = |compute, storage, accelerators| {
        let numbers = Numbers::choose(compute, storage, Device::Cuda(0), accelerators);
        (numbers.compute, numbers.kept)
    };
    let (bf16, fp8) = (Some(ComputeDtype::Bf16), WeightStorage::Fp8(ComputeDtype::Fp16));
    assert_eq!(choose(None, WeightStorage::Plain, Accelerators::Cuda), (DType::F32, DType::F32));
    assert_eq!(choose(bf16, WeightStorage::Plain, Accelerators::Cuda), (DType::BF16, DType::BF16));
    assert_eq!(
        choose(bf16, WeightStorage::Plain, Accelerators::Host),
        (DType::F32, DType::BF16),
        "never twice the memory"
    );
    assert_eq!(choose(bf16, fp8, Accelerators::Cuda), (DType::F16, DType::F8E4M3));
    assert_eq!(choose(None, fp8, Accelerators::Host), (DType::F32, DType::F8E4M3));
}
