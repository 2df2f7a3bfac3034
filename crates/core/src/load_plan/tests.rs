//! What files and bindings come to.
use std::fs;

use super::*;
use crate::binding::{Dtype, hub};

/// A safetensors file with tensors of these types and this metadata.
fn weights(dir: &Path, name: &str, dtypes: &[&str], metadata: &[(&str, &str)]) {
    let mut header = serde_json::Map::new();
    for (at, dtype) in dtypes.iter().enumerate() {
        let tensor = serde_json::json!({"dtype": dtype, "shape": [0], "data_offsets": [0, 0]});
        header.insert(format!("t{at}"), tensor);
    }
    header.insert("__metadata__".into(), metadata.iter().copied().collect::<BTreeMap<_, _>>().into_iter().collect());
    let header = serde_json::Value::Object(header).to_string();
    let length = u64::try_from(header.len()).expect("small").to_le_bytes();
    fs::write(dir.join(name), [&length, header.as_bytes()].concat()).expect("written");
}

fn planned(binding: Binding, dir: &Path, device: Device, terms: &LoadTerms) -> LoadOptions {
    let slots = BTreeMap::from([("model".to_owned(), binding)]);
    let dirs = BTreeMap::from([("model".to_owned(), dir.to_owned())]);
    plan(&slots, &dirs, device, terms).expect("planned").remove("model").expect("the slot")
}

#[test]
fn m10_8_a_binding_decides_what_is_computed_in_and_the_files_after_it() {
    let dir = tempfile::tempdir().expect("a directory");
    weights(dir.path(), "a.safetensors", &["F16", "F16", "BF16"], &[]);
    weights(dir.path(), "b.safetensors", &["BF16", "BF16"], &[]);
    fs::write(dir.path().join("c.safetensors"), b"torn").expect("written");
    let terms = LoadTerms::default();
    let options = planned(hub("o/a").build().expect("sound"), dir.path(), Device::Cpu, &terms);
    assert_eq!((options.compute, options.storage), (Some(ComputeDtype::Bf16), WeightStorage::Plain));
    assert_eq!(options.adapters, None, "its slot takes none");
    let typed = crate::binding::hf("o/a").dtype(Dtype::Fp32).allow_lora().build().expect("sound");
    let options = planned(typed, dir.path(), Device::Cuda(1), &terms);
    assert_eq!((options.compute, options.device), (Some(ComputeDtype::Fp32), Device::Cuda(1)));
    assert_eq!(options.adapters, Some(AttachLimits::default()));
}

#[test]
fn m10_7_what_is_stored_in_8_bits_or_asked_for_in_8_bits_stays_there() {
    let dir = tempfile::tempdir().expect("a directory");
    weights(dir.path(), "a.safetensors", &["F8_E4M3", "F8_E4M3", "F32"], &[]);
    let stored = planned(hub("o/a").build().expect("sound"), dir.path(), Device::Cuda(0), &LoadTerms::default());
    assert_eq!(stored.storage, WeightStorage::Fp8(ComputeDtype::Bf16));
    let dir = tempfile::tempdir().expect("a directory");
    weights(dir.path(), "a.safetensors", &["F16"], &[]);
    let asked = hub("o/a").storage_dtype("fp8").build().expect("sound");
    let asked = planned(asked, dir.path(), Device::Cuda(0), &LoadTerms::default());
    assert_eq!(asked.storage, WeightStorage::Fp8(ComputeDtype::Fp16));
}

#[test]
fn m10_9_emergencies_are_allowed_by_an_operator_and_are_those_of_accelerators() {
    let dir = tempfile::tempdir().expect("a directory");
    weights(dir.path(), "a.safetensors", &["F32"], &[]);
    let policy = LoadPolicy { emergency_allowed: true, ..LoadPolicy::default() };
    let (allowed, not) = (LoadTerms { policy, ..LoadTerms::default() }, LoadTerms::default());
    let storage = |device, terms| planned(hub("o/a").build().expect("sound"), dir.path(), device, terms).storage;
    assert_eq!(storage(Device::Cuda(0), &allowed), WeightStorage::Emergency4Bit, "nothing is free");
    assert_eq!(storage(Device::Cuda(0), &not), WeightStorage::Plain);
    assert_eq!(storage(Device::Cpu, &allowed), WeightStorage::Plain);
}

#[test]
fn m10_10_attributes_come_from_the_files_and_so_does_a_configuration() {
    let dir = tempfile::tempdir().expect("a directory");
    weights(dir.path(), "a.safetensors", &["U8"], &[("quant_library", "bitsandbytes"), ("quant_recipe", "nf4")]);
    let quantization = || {
        let binding = hub("o/a").build().expect("sound");
        planned(binding, dir.path(), Device::Cpu, &LoadTerms::default()).quantization
    };
    assert!(quantization().config.is_some());
    fs::write(dir.path().join("config.json"), r#"{"quantization_config": {}}"#).expect("written");
    assert_eq!(quantization(), QuantizationPlan { needs: Some("bitsandbytes"), config: None });
}
