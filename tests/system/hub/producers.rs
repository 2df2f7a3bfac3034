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
