//! What is brought, and what is refused.
use std::fs;

use super::*;
use crate::{FailureClass, LocalModels};

/// A safetensors file with tensors of these names, of one byte each.
fn write(path: &Path, names: &[&str]) {
    let tensors = names.iter().enumerate().map(|(at, name)| {
        (name.to_string(), serde_json::json!({"dtype": "U8", "shape": [1], "data_offsets": [at, at + 1]}))
    });
    let header = serde_json::Value::Object(tensors.collect()).to_string();
    let mut bytes = u64::try_from(header.len()).expect("small").to_le_bytes().to_vec();
    bytes.extend(header.as_bytes());
    bytes.resize(bytes.len() + names.len(), 0);
    fs::write(path, bytes).expect("written");
}

fn named(loras: &[(&str, f64)]) -> Vec<pb::ModelBinding> {
    let loras = loras.iter().map(|(reference, weight)| pb::LoraOverlay { r#ref: (*reference).into(), weight: *weight });
    vec![pb::ModelBinding { slot: "base".into(), r#ref: "o/base".into(), loras: loras.collect() }]
}

#[tokio::test]
async fn m9_lora_adapters_come_with_their_file_and_a_name_for_their_bytes() {
    let dir = tempfile::tempdir().expect("a directory");
    write(&dir.path().join("adapter.safetensors"), &["q.lora_A.weight", "q.lora_B.weight", "q.alpha"]);
    write(&dir.path().join("small.safetensors"), &["q.lora_A.weight"]);
    let source = LocalModels::new().with("o/a", dir.path());
    let snapshots = HashMap::from([("o/a".to_owned(), pb::Snapshot { digest: "abc".into(), ..Default::default() })]);
    let brought = bring(&source, &named(&[("o/a", 0.0)]), &snapshots).await.expect("an adapter");
    let file = dir.path().join("adapter.safetensors");
    let lora = Lora { reference: "o/a".into(), weight: 1.0, id: "o/a@abc".into(), file };
    assert_eq!(brought.loras()["base"], [lora]);
    let unpinned = bring(&source, &named(&[("o/a", 0.5)]), &HashMap::new()).await.expect("an adapter");
    assert_eq!(unpinned.loras()["base"][0].id, format!("o/a@{}", dir.path().display()));
    assert!(bring(&source, &named(&[]), &snapshots).await.expect("none").loras().is_empty());
}

#[tokio::test]
async fn m9_lora_what_is_no_adapter_is_the_clients_fault_and_what_cannot_be_had_is_not() {
    let dir = tempfile::tempdir().expect("a directory");
    let sub = |name: &str| {
        fs::create_dir(dir.path().join(name)).expect("created");
        dir.path().join(name)
    };
    let (model, empty, broken) = (sub("model"), sub("empty"), sub("broken"));
    write(&model.join("model.safetensors"), &["q.lora_A.weight", "q.weight"]);
    fs::write(empty.join("adapter.bin"), b"x").expect("written");
    fs::write(broken.join("adapter.safetensors"), b"{").expect("written");
    let source = LocalModels::new().with("o/model", model).with("o/empty", empty).with("o/broken", broken);
    for (reference, why) in
        [("o/model", "tensor \"q.weight\""), ("o/empty", "no safetensors"), ("o/broken", "no safetensors")]
    {
        let error = bring(&source, &named(&[(reference, 1.0)]), &HashMap::new()).await.expect_err(reference);
        assert_eq!(error.class(), FailureClass::Invalid, "{error}");
        assert!(error.client_message().contains(why), "{error}");
    }
    let error = bring(&source, &named(&[("o/none", 1.0)]), &HashMap::new()).await.expect_err("nowhere");
    assert_eq!(error.class(), FailureClass::Retryable, "{error}");
}
