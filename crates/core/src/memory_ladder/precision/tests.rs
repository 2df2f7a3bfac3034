//! Types by binding, by disk and by need.
use super::*;

const GIB: u64 = 1 << 30;

fn tensors(counts: &[(&str, u64)]) -> BTreeMap<String, u64> {
    counts.iter().map(|(name, count)| ((*name).to_owned(), *count)).collect()
}

fn wish(header: u64, free: u64) -> StorageWish {
    StorageWish {
        fp8_wanted: false,
        compute: None,
        emergency_allowed: false,
        header_bytes: header * GIB,
        free_bytes: free * GIB,
    }
}

#[test]
fn m10_8_the_binding_decides_and_the_disk_after_it() {
    let disk = tensors(&[("F16", 9), ("F32", 3)]);
    for (name, dtype) in [
        ("bf16", ComputeDtype::Bf16),
        ("bfloat16", ComputeDtype::Bf16),
        ("float16", ComputeDtype::Fp16),
        ("fp32", ComputeDtype::Fp32),
        ("float32", ComputeDtype::Fp32),
    ] {
        assert_eq!(ComputeDtype::choose(name, &disk), Ok(Some(dtype)));
    }
    assert!(ComputeDtype::choose("int8", &disk).expect_err("unknown").to_string().contains("int8"));
    let by_disk = |counts| ComputeDtype::choose("", &tensors(counts)).expect("nothing is declared");
    assert_eq!(by_disk(&[("F16", 9), ("F32", 3)]), Some(ComputeDtype::Fp16));
    assert_eq!(by_disk(&[("BF16", 9), ("F8_E4M3", 3)]), Some(ComputeDtype::Bf16));
    assert_eq!(by_disk(&[("BF16", 2), ("F8_E4M3", 3)]), Some(ComputeDtype::Bf16));
    assert_eq!([by_disk(&[("F32", 9), ("BF16", 8)]), by_disk(&[]), by_disk(&[("F32", 0)])], [None; 3]);
}

#[test]
fn m10_8_files_are_marked_in_half_precision_only() {
    let variants = [ComputeDtype::Bf16, ComputeDtype::Fp16, ComputeDtype::Fp32].map(ComputeDtype::file_variant);
    assert_eq!(variants, [Some("bf16"), Some("fp16"), None]);
}

#[test]
fn m10_7_eight_bits_stay_eight_bits() {
    let (plain, eight) = (tensors(&[("BF16", 5)]), tensors(&[("BF16", 2), ("F8_E4M3", 5)]));
    assert_eq!(storage(wish(4, 24), &plain), WeightStorage::Plain);
    assert_eq!(storage(wish(4, 24), &eight), WeightStorage::Fp8(ComputeDtype::Bf16));
    let wanted = StorageWish { fp8_wanted: true, compute: Some(ComputeDtype::Fp16), ..wish(4, 24) };
    assert_eq!(storage(wanted, &plain), WeightStorage::Fp8(ComputeDtype::Fp16));
}

#[test]
fn m10_9_four_bits_are_for_emergencies_that_somebody_allowed() {
    let (plain, eight) = (tensors(&[("BF16", 5)]), tensors(&[("F8_E4M3", 5)]));
    let allowed = |header, free| StorageWish { emergency_allowed: true, ..wish(header, free) };
    assert_eq!(storage(wish(20, 10), &plain), WeightStorage::Plain, "nobody allowed it");
    assert_eq!(storage(allowed(8, 10), &plain), WeightStorage::Plain, "this just fits");
    assert_eq!(storage(allowed(9, 10), &plain), WeightStorage::Emergency4Bit);
    let cast = |header| StorageWish { fp8_wanted: true, ..allowed(header, 10) };
    assert_eq!(storage(cast(16), &plain), WeightStorage::Fp8(ComputeDtype::Bf16), "half of it fits");
    assert_eq!(storage(cast(18), &plain), WeightStorage::Emergency4Bit, "it replaces eight bits");
    assert_eq!(storage(allowed(9, 10), &eight), WeightStorage::Emergency4Bit, "eight bits on disk are not halved");
}
