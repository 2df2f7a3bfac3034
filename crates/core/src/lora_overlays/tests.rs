//! Bounds, and what stays.
use std::sync::Arc;

use super::*;

const GIB: u64 = 1 << 30;

fn loras(ids: &[(&str, u64)]) -> Vec<Attached> {
    ids.iter().map(|(id, bytes)| Attached { id: (*id).to_owned(), bytes: *bytes }).collect()
}

fn plan(attached: &[(&str, u64)], wanted: &[(&str, u64)]) -> Result<(Vec<usize>, Vec<usize>), LoraError> {
    let limits = AttachLimits { count_max: 3, bytes_max: 10 };
    attach_plan(&loras(attached), &loras(wanted), limits).map(|plan| (plan.detach, plan.attach))
}

#[test]
fn m9_lora_weights_are_finite_and_small_and_zero_is_one() {
    let weights = [0.0, -0.0, 4.0, -4.0, 0.5].map(|weight| effective_weight("o/l", weight));
    assert_eq!(weights, [Ok(1.0), Ok(1.0), Ok(4.0), Ok(-4.0), Ok(0.5)]);
    for weight in [4.01, -5.0, f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        let error = effective_weight("o/l", weight).expect_err("out of bounds");
        assert!(error.to_string().contains("o/l"), "{error}");
    }
}

#[test]
fn m9_lora_the_largest_safetensors_file_within_bounds_is_the_adapter() {
    let file = |files: &[(&str, u64)]| {
        let files: Vec<_> = files.iter().map(|(name, bytes)| (PathBuf::from(name), *bytes)).collect();
        adapter_file("o/l", &files)
    };
    let several = [("x.bin", 99), ("a.safetensors", 3), ("c.safetensors", 7), ("b.safetensors", 7)];
    assert_eq!(file(&several), Ok("b.safetensors".into()));
    assert_eq!(file(&[("x.bin", 99)]), Err(LoraError::NoFile("o/l".into())));
    assert_eq!(file(&[("a.safetensors", 2 * GIB)]), Ok("a.safetensors".into()));
    assert!(matches!(file(&[("a.safetensors", 2 * GIB + 1)]), Err(LoraError::TooLarge { .. })));
}

#[test]
fn m9_lora_a_file_with_anything_else_is_none() {
    let check = |names: &[&str]| check_tensors("o/l", names.iter().copied());
    assert_eq!(check(&["unet.q.lora_A.weight", "te_lora_down.weight", "q.alpha", "x.lora.up.weight"]), Ok(()));
    let error = check(&["q.lora_A.weight", "unet.q.weight"]).expect_err("a model");
    assert_eq!(error, LoraError::NotALora { reference: "o/l".into(), tensor: "unet.q.weight".into() });
}

#[test]
fn m9_lora_those_used_longest_ago_are_detached_and_only_as_many_as_needed() {
    let attached = [("a", 3), ("b", 3), ("c", 3)];
    assert_eq!(plan(&attached, &[("b", 3)]), Ok((vec![], vec![])), "it is there");
    assert_eq!(plan(&attached, &[("a", 3), ("d", 3)]), Ok((vec![1], vec![1])), "the request needs the oldest");
    assert_eq!(plan(&attached, &[("d", 5)]), Ok((vec![0, 1], vec![0])), "bytes count, too");
    assert_eq!(plan(&[("a@1", 3)], &[("a@2", 3), ("a@2", 3)]), Ok((vec![], vec![0])), "another digest, named twice");
}

#[test]
fn m9_lora_a_request_for_more_than_may_be_attached_is_refused() {
    assert_eq!(plan(&[], &[("a", 1), ("b", 1), ("c", 1), ("d", 1)]), Err(LoraError::TooMany(4)));
    assert!(matches!(plan(&[], &[("a", 6), ("b", 5)]), Err(LoraError::TooLarge { bytes: 11, max: 10, .. })));
    let names: Vec<_> = (0..9).map(|number| Attached { id: number.to_string(), bytes: 1 }).collect();
    let generous = AttachLimits { count_max: 100, ..AttachLimits::default() };
    assert_eq!(attach_plan(&[], &names, generous), Err(LoraError::TooMany(9)), "eight per request");
    assert!(attach_plan(&[], &names[..8], AttachLimits::default()).is_ok());
}

#[test]
fn m9_lora_what_was_read_is_kept_by_digest_within_a_gibibyte() {
    let mut parsed = ParsedLoras::default();
    for (id, bytes) in [("a@1", GIB / 2), ("a@2", GIB / 2)] {
        parsed.insert(id, Arc::new(id.to_owned()), bytes);
    }
    assert_eq!(parsed.get("a@1").as_deref().map(String::as_str), Some("a@1"));
    parsed.insert("b@1", Arc::new(String::new()), 1);
    assert!(parsed.get("a@2").is_none() && parsed.get("a@1").is_some() && parsed.get("b@1").is_some());
    parsed.insert("b@1", Arc::new(String::new()), 2);
    parsed.insert("huge", Arc::new(String::new()), GIB + 1);
    assert_eq!((parsed.bytes(), parsed.get("huge").is_none()), (GIB / 2 + 2, true), "and does not push others out");
}
