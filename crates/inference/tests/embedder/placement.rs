//! The same embeddings wherever the model is, and however little of it is there at once. The accelerator is made of host
//! memory.

use gen_worker_core::context::Device;
use gen_worker_core::endpoint::Movable;
use gen_worker_core::instance::{LoadModel, LoadOptions};
use gen_worker_core::memory_ladder::{ComputeDtype, OffloadMode, WeightStorage};
use gen_worker_inference::{Accelerators, Backend, BackendReason, EmbedderOptions, SentenceEmbedder};
use safetensors::Dtype;

use crate::tiny_model::{TinyModel, text};

const CARD: Device = Device::Cuda(0);

fn load(model: &TinyModel, change: impl FnOnce(&mut EmbedderOptions)) -> SentenceEmbedder {
    let mut options = EmbedderOptions::default();
    (options.device, options.accelerators) = (CARD, Accelerators::Host);
    change(&mut options);
    SentenceEmbedder::load(model.write().path(), options).unwrap()
}

fn texts() -> Vec<String> {
    (0..10).map(|index| text(index, index)).collect()
}

/// Bytes of the weights in `width` bytes each.
fn size(model: &TinyModel, width: usize) -> u64 {
    let numbers: usize = model.tensors().values().map(|(_, values)| values.len()).sum();
    (numbers * width) as u64
}

#[test]
fn m9_4_a_model_leaves_its_accelerator_and_comes_back_with_the_same_bits() {
    let model = TinyModel::default();
    let mut embedder = load(&model, |_| {});
    assert_eq!(embedder.backend(), (Backend::Candle, BackendReason::OnAccelerator));
    assert!(embedder.is_movable());
    let there = embedder.embed(&texts()).unwrap();
    assert_eq!(embedder.bytes_by_device(), [(CARD, size(&model, 4))], "9.3: what it says is what it takes");
    Movable::move_to(&mut embedder, Device::Cpu).unwrap();
    assert_eq!(embedder.bytes_by_device(), [(Device::Cpu, size(&model, 4))]);
    assert_eq!(embedder.embed(&texts()).unwrap(), there);
    Movable::move_to(&mut embedder, CARD).unwrap();
    assert_eq!(embedder.bytes_by_device(), [(CARD, size(&model, 4))]);
    assert_eq!(embedder.embed(&texts()).unwrap(), there);
}

#[test]
fn m10_3_each_rung_gives_the_same_embeddings() {
    let model = TinyModel { layers: 5, ..TinyModel::default() };
    let whole = load(&model, |_| {}).embed(&texts()).unwrap();
    for mode in [OffloadMode::VaeOnly, OffloadMode::Model, OffloadMode::Group, OffloadMode::Sequential] {
        let mut embedder = load(&model, |options| options.offload = mode);
        let difference = embedder
            .embed(&texts())
            .unwrap()
            .values()
            .iter()
            .zip(whole.values())
            .map(|(a, b)| (a - b).abs())
            .fold(0.0, f32::max);
        assert!(difference < 1e-6, "{mode}: {difference}");
        assert_eq!(embedder.is_movable(), mode.is_movable());
        if !mode.is_movable() {
            assert_eq!(embedder.bytes_by_device(), [(Device::Cpu, size(&model, 4))], "it lies in host memory");
            assert!(Movable::move_to(&mut embedder, Device::Cpu).is_err(), "{mode}");
        }
    }
}

#[test]
fn m10_7_weights_are_kept_in_8_bits_and_widened_layer_by_layer() {
    let model = TinyModel { head_size: 16, intermediate: 64, ..TinyModel::default() };
    let storage = WeightStorage::Fp8(ComputeDtype::Bf16);
    let full = load(&model, |_| {}).embed(&texts()).unwrap();
    let narrow = load(&model, |options| options.storage = storage);
    let kept = narrow.bytes_by_device()[0].1;
    assert!(kept < size(&model, 4) / 2, "{kept} of {}", size(&model, 4));
    let found = narrow.embed(&texts()).unwrap();
    let cosine = |(a, b): (&[f32], &[f32])| a.iter().zip(b).map(|(a, b)| a * b).sum::<f32>();
    let worst = found.rows().zip(full.rows()).map(cosine).fold(1.0, f32::min);
    assert!(worst > 0.98 && found != full, "8 bits are near, and not the same: {worst}");
    let on_host = SentenceEmbedder::load(
        model.write().path(),
        EmbedderOptions::of(&{
            let mut options = LoadOptions::default();
            options.storage = storage;
            options
        }),
    );
    let on_host = on_host.unwrap();
    assert_eq!(on_host.backend(), (Backend::Candle, BackendReason::NarrowWeights));
    assert_eq!(on_host.bytes_by_device(), [(Device::Cpu, kept)], "nor does a host hold them in full");
    assert_eq!(on_host.embed(&texts()).unwrap(), found);
}

#[test]
fn m10_7_a_file_of_8_bits_is_read_as_what_it_says() {
    let model = TinyModel { dtype: Dtype::F8_E4M3, ..TinyModel::default() };
    let fused = SentenceEmbedder::load(model.write().path(), EmbedderOptions::default()).unwrap();
    let narrow = load(&model, |options| options.storage = WeightStorage::Fp8(ComputeDtype::Bf16));
    let (fused, narrow) = (fused.embed(&texts()).unwrap(), narrow.embed(&texts()).unwrap());
    let difference = fused.values().iter().zip(narrow.values()).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    assert!(difference < 1e-5, "what was in 8 bits loses nothing there: {difference}");
}

#[test]
fn a_device_that_is_not_there_is_an_error_and_nothing_moves() {
    let model = TinyModel::default();
    let mut options = LoadOptions::default();
    options.device = Device::Cuda(9_999);
    assert!(<SentenceEmbedder as LoadModel>::load(model.write().path(), &options).is_err());
    let mut embedder =
        load(&model, |options| (options.device, options.accelerators) = (Device::Cpu, Accelerators::Cuda));
    let before = embedder.embed(&["w1"]).unwrap();
    assert!(embedder.move_to(Device::Cuda(9_999)).is_err());
    assert_eq!((embedder.embed(&["w1"]).unwrap(), embedder.bytes_by_device()[0].0), (before, Device::Cpu));
}
