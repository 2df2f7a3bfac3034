//! Clients that are told to come again, because what they asked for takes its time.

use std::fs;

use anyhow::{Result, ensure};
use gen_worker_hubd::Visibility;
use gen_worker_tests::{OwnHub, PART_BYTES, Slow};
use serde_json::json;

use super::{COMMITS, PEERS, content, hash, told, write};

/// What a server in front of the hub gives up on is refused while it goes on, and is there in the end.
fn completes_slowly(version: &str) -> Result<()> {
    let slow = Slow::at("complete");
    let hub = OwnHub::start_slow(&slow, Visibility::Private)?;
    let token = hub.producer("acme")?;
    let dir = tempfile::tempdir()?;
    // Of several parts, which are read once more for a hash.
    let bytes = content(usize::try_from(2 * PART_BYTES + 1)?, 1);
    let file = dir.path().join("file");
    fs::write(&file, &bytes)?;
    let call = json!({
        "token": token.reveal(), "owner": "acme", "file": file, "prefix": "/api/v1/media/acme/uploads",
        "create": {"ref": "outputs/large.bin"},
    });
    let done = hub.peer_does(version, "save", call)?;
    ensure!(slow.told() == [504, 409, 200], "{version}: {:?}", slow.told());
    ensure!(done["dedup"] == false && done["meta"]["blake3"] == hash(&bytes), "{version}: {done}");
    let call = json!({"token": token.reveal(), "owner": "acme", "digest": hash(&bytes)});
    ensure!(hub.peer_does(version, "blob", call)? == hash(&bytes), "{version}");
    Ok(())
}

#[test]
fn h16_2_the_older_wheel_waits_for_a_complete_that_goes_on() -> Result<()> {
    completes_slowly(PEERS[0])
}

#[test]
fn h16_2_the_newer_wheel_waits_for_a_complete_that_goes_on() -> Result<()> {
    completes_slowly(PEERS[1])
}

#[test]
fn h16_3_the_converter_asks_again_for_a_finalize_that_runs() -> Result<()> {
    let slow = Slow::at("finalize");
    let hub = OwnHub::start_slow(&slow, Visibility::Public)?;
    let token = hub.producer("acme")?;
    let dir = tempfile::tempdir()?;
    let hashes = told(&write(dir.path(), &[("config.json", b"{}"), ("model.safetensors", &content(5000, 1))])?);
    let call = json!({"token": token.reveal(), "owner": "acme", "repo": "acme/paint", "dir": dir.path()});
    let done = hub.peer_does(COMMITS, "commit", call)?;
    ensure!(slow.told() == [202, 200], "{:?}", slow.told());
    ensure!(done["checkpoint_id"].as_str().is_some_and(|id| id.starts_with("blake3:")), "{done}");
    let dir = tempfile::tempdir()?;
    let pulled = hub.peer_does(COMMITS, "pull", json!({"ref": "acme/paint", "dir": dir.path()}))?;
    ensure!(pulled == hashes, "{pulled}");
    Ok(())
}
