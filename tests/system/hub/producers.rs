//! What contexts of producing functions do besides: attributes, blobs, datasets.

use std::fs;

use anyhow::{Result, ensure};
use gen_worker_hubd::Visibility;
use gen_worker_tests::OwnHub;
use serde_json::{Value, json};

use super::{PEERS, content, hash};

#[test]
fn h7_1_the_wheel_reads_and_replaces_attributes() -> Result<()> {
    let hub = OwnHub::start(Visibility::Private)?;
    let token = hub.producer("acme")?;
    for version in PEERS {
        let (repo, metadata) = (format!("acme/of-{version}"), json!({"family": "sdxl", "nested": {"a": [1, 2]}}));
        let call = json!({"token": token.reveal(), "owner": "acme", "repo": repo, "metadata": metadata});
        let done = hub.peer_does(version, "metadata", call)?;
        ensure!(done["before"]["exists"] == false && done["before"]["metadata"] == json!({}), "{done}");
        ensure!(done["after"]["exists"] == true && done["after"]["metadata"] == metadata, "{done}");
    }
    Ok(())
}

/// Saves a file as a trainer does: through a grant and the S3 client.
fn checkpoint(hub: &OwnHub, version: &str, session: &str, path: &str, bytes: &[u8]) -> Result<Value> {
    let token = hub.producer("acme")?;
    let dir = tempfile::tempdir()?;
    let file = dir.path().join("file");
    fs::write(&file, bytes)?;
    let prefix = format!("/api/v1/repos/acme/tuned/revisions/{session}/uploads");
    let call = json!({
        "token": token.reveal(), "owner": "acme", "file": file, "prefix": prefix, "create": {"path": path},
    });
    hub.peer_does(version, "save", call)
}

#[test]
fn h16_4_a_trainer_saves_checkpoints_with_boto3() -> Result<()> {
    let hub = OwnHub::start(Visibility::Private)?;
    let token = hub.producer("acme")?;
    for (seed, version) in (0..).zip(PEERS) {
        let opened = ureq::post(format!("{}/api/v1/repos/acme/tuned/revisions", hub.url))
            .header("authorization", format!("Bearer {}", token.reveal()))
            .send_json(json!({"job_id": "j1"}))?;
        let opened: Value = opened.into_body().read_json()?;
        let session = opened["session_id"].as_str().unwrap_or_default();
        // In several parts, and in one.
        for (path, size) in [("step-1/model.safetensors", 65 << 20), ("step-1/state.json", 1 << 10)] {
            let bytes = content(size, seed);
            let saved = checkpoint(&hub, version, session, path, &bytes)?;
            ensure!(saved["dedup"] == false && saved["meta"]["blake3"] == hash(&bytes), "{version}: {saved}");
            let call = json!({"token": token.reveal(), "owner": "acme", "digest": hash(&bytes)});
            ensure!(hub.peer_does(version, "blob", call)? == hash(&bytes), "{path}");
            let again = checkpoint(&hub, version, session, &format!("again/{path}"), &bytes)?;
            ensure!(again["dedup"] == true, "{version}: {again}");
        }
    }
    Ok(())
}

#[test]
fn h16_5_the_wheel_publishes_a_dataset_changes_it_and_reads_it_back() -> Result<()> {
    let hub = OwnHub::start(Visibility::Private)?;
    let token = hub.producer("acme")?;
    let dir = tempfile::tempdir()?;
    for (seed, version) in (0..).zip(PEERS) {
        let mut manifest = Vec::new();
        for (path, size) in [("data/train-00000.parquet", 3 << 20), ("dataset_info.json", 40)] {
            let (bytes, file) = (content(size, seed), dir.path().join("file"));
            fs::write(&file, &bytes)?;
            let create = json!({"ref": format!("datasets/{version}/{path}")});
            let saved = json!({
                "token": token.reveal(), "owner": "acme", "file": file, "prefix": "/api/v1/media/acme/uploads",
                "create": create,
            });
            hub.peer_does(version, "save", saved)?;
            manifest.push(json!({"path": path, "digest": format!("blake3:{}", hash(&bytes)), "size_bytes": size}));
        }
        let name = format!("acme/Prompts-{version}");
        let call = json!({"token": token.reveal(), "owner": "acme", "dataset": name, "manifest": manifest});
        let done = hub.peer_does(version, "dataset", call)?;
        ensure!(done["existed"] == json!([false, true]), "{version}: {done}");
        for entry in &manifest {
            let digest = entry["digest"].as_str().unwrap_or_default().trim_start_matches("blake3:");
            let path = entry["path"].as_str().unwrap_or_default();
            let is_read = version == PEERS[0] || path.ends_with(".parquet");
            ensure!(!is_read || done["files"][path] == digest, "{version}: {done}");
        }
        // Its bytes are there, and its owner is someone else.
        let other = hub.producer("other")?;
        let call = json!({"token": other.reveal(), "owner": "acme", "dataset": name, "manifest": manifest});
        let refused = hub.peer(version, "dataset", call)?;
        ensure!(refused["error"].is_string(), "{version}: {refused}");
    }
    Ok(())
}
