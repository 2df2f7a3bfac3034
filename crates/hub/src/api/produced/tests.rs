use serde_json::json;

use super::*;
use crate::digest::Blake3Hash;

fn attributes(value: Value) -> Map<String, Value> {
    value.as_object().unwrap().clone()
}

#[test]
fn h6_11_a_label_is_the_flavor_or_what_the_attributes_say() {
    let label = |flavor: &str, value: Value| {
        ProducedFlavor { flavor: flavor.to_owned(), attributes: attributes(value), ..ProducedFlavor::default() }.label()
    };
    assert_eq!(label("bf16", json!({"flavor": "fp8", "dtype": "f32"})), "bf16");
    assert_eq!(label(" ", json!({"flavor": "fp8", "dtype": "f32"})), "fp8");
    assert_eq!(label("", json!({"flavor": "", "dtype": "f32"})), "f32");
    assert_eq!(label("", json!({"other": 1})), "");
}

#[test]
fn h6_11_each_flavor_is_a_commit_with_its_attributes_as_texts() {
    let file = SnapshotFile { path: "a".parse().unwrap(), size_bytes: 2, blake3: Blake3Hash::of(b"{}") };
    let produced = ProducedFlavor {
        flavors: vec!["small".to_owned()],
        attributes: attributes(json!({"dtype": "bf16", "steps": 4, "is_lora": true, "sizes": [1, 2]})),
        files: vec![file],
        ..ProducedFlavor::default()
    };
    let commit = produced.commit(CommitMode::default());
    let told = attributes(json!({"dtype": "bf16", "steps": "4", "is_lora": "true", "sizes": "[1,2]"}));
    assert_eq!((commit.mode, commit.flavor.as_str(), commit.metadata), (CommitMode::Replace, "bf16", told));
    assert_eq!((commit.flavors, commit.operations.len()), (vec!["small".to_owned()], 1));
    assert_eq!(commit.operations[0].path().as_str(), "a");
}

#[test]
fn h6_11_a_clone_replaces_at_most_with_its_first_flavor() {
    let modes = |overwrite| [0, 1, 2].map(|number| clone_mode(number, overwrite));
    assert_eq!(modes(true), [CommitMode::Replace, CommitMode::Merge, CommitMode::Merge]);
    assert_eq!(modes(false), [CommitMode::Merge; 3]);
}

#[test]
fn h6_11_a_flavor_goes_where_it_says_or_where_the_job_publishes() {
    let to = |named, of_job| destination(named, of_job).map(|repo| repo.unwrap().to_string());
    assert_eq!(to("Acme/Paint", "acme/other").as_deref(), Some("acme/paint"));
    assert_eq!(to(" ", "acme/other").as_deref(), Some("acme/other"));
    assert_eq!(to("", ""), None);
    assert!(destination("acme", "acme/other").unwrap().is_err(), "what is named is meant");
}
