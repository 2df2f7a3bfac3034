//! The peer's `presigned_upload_file` and `ctx.save_bytes`.

use std::fs;

use anyhow::{Result, ensure};
use gen_worker_hubd::Visibility;
use gen_worker_tests::{OwnHub, PART_BYTES};
use serde_json::{Value, json};

use super::{PEERS, content, hash};

fn upload(hub: &OwnHub, version: &str, token: &str, reference: &str, bytes: &[u8]) -> Result<Value> {
    let dir = tempfile::tempdir()?;
    let file = dir.path().join("file");
    fs::write(&file, bytes)?;
    let create = json!({"ref": reference, "request_id": "r1"});
    let prefix = "/api/v1/media/acme/uploads";
    hub.peer(
        version,
        "save",
        json!({"token": token, "owner": "acme", "file": file, "prefix": prefix, "create": create}),
    )
}

#[test]
fn h16_2_the_wheel_uploads_one_part_several_and_none() -> Result<()> {
    let hub = OwnHub::start(Visibility::Private)?;
    let token = hub.producer("acme")?;
    let part = usize::try_from(PART_BYTES)?;
    for (seed, version) in (0..).zip(PEERS) {
        for (name, bytes) in [("small", content(1000, seed)), ("large", content(2 * part + 1, seed))] {
            let reference = format!("outputs/{version}/{name}.bin");
            let done = upload(&hub, version, token.reveal(), &reference, &bytes)?;
            let meta = &done["ok"]["meta"];
            ensure!(done["ok"]["dedup"] == false && meta["ref"] == reference.as_str(), "{done}");
            ensure!(meta["blake3"] == hash(&bytes) && meta["size_bytes"] == bytes.len(), "{done}");
            // The same bytes under another ref: nothing is sent.
            let again = upload(&hub, version, token.reveal(), &format!("again/{version}/{name}"), &bytes)?;
            ensure!(again["ok"]["dedup"] == true && again["ok"]["meta"]["blake3"] == hash(&bytes), "{again}");
            let call = json!({"token": token.reveal(), "owner": "acme", "digest": hash(&bytes)});
            ensure!(hub.peer_does(version, "blob", call)? == hash(&bytes), "{name}");
        }
    }
    Ok(())
}

#[test]
fn h16_2_the_wheel_hears_why_it_may_not_upload() -> Result<()> {
    let hub = OwnHub::start(Visibility::Private)?;
    let other = hub.producer("other")?;
    for version in PEERS {
        for token in [other.reveal(), "nonsense"] {
            let refused = upload(&hub, version, token, "outputs/x", b"bytes")?;
            ensure!(refused["error"] == "AuthError", "{version}: {refused}");
        }
    }
    Ok(())
}

#[test]
fn h9_11_a_context_of_the_wheel_saves_bytes() -> Result<()> {
    let hub = OwnHub::start(Visibility::Private)?;
    let token = hub.producer("acme")?;
    for version in PEERS {
        let call = json!({"token": token.reveal(), "owner": "acme", "ref": "/outputs/r1/note.txt", "text": version});
        let saved = hub.peer_does(version, "save_bytes", call)?;
        let of = (&saved["ref"], &saved["size_bytes"], &saved["mime_type"]);
        ensure!(of == (&json!("outputs/r1/note.txt"), &json!(version.len()), &json!("text/plain")), "{saved}");
        ensure!(saved["sha256"].as_str().is_some_and(|hex| hex.len() == 64), "{saved}");
    }
    Ok(())
}
