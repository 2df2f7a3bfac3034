//! What moves leaves nothing behind: the memory of the device it was on is free afterwards. The accelerator is made of host
//! memory, so that one allocator sees both. One test, since what others allocate would be counted, too.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail by panicking")]

#[path = "residency/live.rs"]
mod live;
#[expect(dead_code, reason = "other tests use more of it")]
#[path = "embedder/tiny_model.rs"]
mod tiny_model;

use gen_worker_core::context::Device;
use gen_worker_core::memory_ladder::OffloadMode;
use gen_worker_inference::{Accelerators, EmbedderOptions, SentenceEmbedder};

use live::Live;
use tiny_model::TinyModel;

#[global_allocator]
static LIVE: Live = Live::new();

fn load(model: &TinyModel, offload: OffloadMode) -> SentenceEmbedder {
    let mut options = EmbedderOptions::default();
    (options.device, options.accelerators, options.offload) = (Device::Cuda(0), Accelerators::Host, offload);
    SentenceEmbedder::load(model.write().path(), options).unwrap()
}

#[test]
fn m9_4_a_move_gives_back_the_memory_of_the_device_it_leaves() {
    // Twenty megabytes, against which everything else is small.
    let model = TinyModel { head_size: 64, heads: 4, intermediate: 1024, layers: 6, ..TinyModel::default() };
    let mut embedder = load(&model, OffloadMode::Off);
    let first = embedder.embed(&["w1 w2"]).unwrap();
    let size = usize::try_from(embedder.bytes_by_device()[0].1).unwrap();
    assert!(size > 15_000_000, "{size}");
    let before = LIVE.bytes();
    for device in [Device::Cpu, Device::Cuda(0), Device::Cpu, Device::Cuda(0)] {
        embedder.move_to(device).unwrap();
        let change = LIVE.bytes().abs_diff(before);
        assert!(change < size / 100, "{change} of {size} bytes more or less on {device:?}");
    }
    assert_eq!(embedder.embed(&["w1 w2"]).unwrap(), first);
    let before = LIVE.bytes();
    drop(embedder);
    assert!(before - LIVE.bytes() > size * 99 / 100, "it goes with the model");

    // What is brought for a call goes with the call.
    let embedder = load(&model, OffloadMode::Sequential);
    drop(embedder.embed(&["w1 w2"]).unwrap());
    let before = LIVE.bytes();
    drop(embedder.embed(&["w1 w2"]).unwrap());
    // Threads that compute for the first time keep buffers of their own.
    assert!(LIVE.bytes().saturating_sub(before) < size / 2);
}
