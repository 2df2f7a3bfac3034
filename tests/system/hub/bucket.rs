//! The hub with its bytes in a bucket of an S3 server that others wrote.

use anyhow::{Result, ensure};
use gen_worker_hubd::Visibility;
use gen_worker_tests::{Moto, OwnHub};
use serde_json::json;

use super::{COMMITS, PEERS, content, told, write};

#[test]
fn h4_30_a_commit_lies_in_a_bucket_and_comes_back() -> Result<()> {
    let moto = Moto::start()?;
    let hub = OwnHub::start_over(moto.bucket()?, Visibility::Public)?;
    let token = hub.producer("acme")?;
    // More than one part, and parts of less than the 5 MiB from which a bucket takes them in pieces.
    let weights = content(3_000_000, 1);
    let files: [(&str, &[u8]); 3] = [("config.json", b"{}"), ("model.safetensors", &weights), ("empty.txt", b"")];
    let dir = tempfile::tempdir()?;
    let hashes = told(&write(dir.path(), &files)?);
    let call = json!({"token": token.reveal(), "owner": "acme", "repo": "acme/paint", "dir": dir.path()});
    let done = hub.peer_does(COMMITS, "commit", call)?;
    ensure!(done["uploaded"] == 3, "{done}");
    for version in PEERS {
        let dir = tempfile::tempdir()?;
        let pulled = hub.peer_does(version, "pull", json!({"ref": "acme/paint", "dir": dir.path()}))?;
        ensure!(pulled == hashes, "{version}: {pulled}");
    }
    Ok(())
}
