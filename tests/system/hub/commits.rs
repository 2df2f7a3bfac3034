//! The converter's commits.

use anyhow::{Result, ensure};
use gen_worker_hubd::Visibility;
use gen_worker_tests::{OwnHub, PART_BYTES};
use serde_json::{Value, json};

use super::{COMMITS, PEERS, content, told, write};

struct Scene {
    hub: OwnHub,
    token: String,
}

impl Scene {
    fn new() -> Result<Self> {
        let hub = OwnHub::start(Visibility::Public)?;
        let token = hub.producer("acme")?.reveal().to_owned();
        Ok(Self { hub, token })
    }

    /// Commits files and gives what came of it, with their hashes.
    fn commit(&self, files: &[(&str, &[u8])], options: &Value) -> Result<(Value, Value)> {
        let dir = tempfile::tempdir()?;
        let hashes = told(&write(dir.path(), files)?);
        let (token, dir) = (&self.token, dir.path());
        let call = json!({"token": token, "owner": "acme", "repo": "acme/paint", "dir": dir, "options": options});
        Ok((self.hub.peer_does(COMMITS, "commit", call)?, hashes))
    }

    /// What peers pull.
    fn holds(&self, reference: &str, hashes: &Value) -> Result<()> {
        for version in PEERS {
            let dir = tempfile::tempdir()?;
            let pulled = self.hub.peer_does(version, "pull", json!({"ref": reference, "dir": dir.path()}))?;
            ensure!(pulled == *hashes, "{reference} by {version}: {pulled}");
        }
        Ok(())
    }
}

#[test]
fn h16_3_the_converter_replaces_and_merges() -> Result<()> {
    let scene = Scene::new()?;
    let weights = content(usize::try_from(2 * PART_BYTES + 7)?, 1);
    let first: [(&str, &[u8]); 3] = [("config.json", b"{}"), ("model.safetensors", &weights), ("empty.txt", b"")];
    let (done, hashes) = scene.commit(&first, &json!({"mode": "replace", "flavor": "bf16", "tags": ["v1"]}))?;
    ensure!((&done["uploaded"], &done["deduped"]) == (&json!(3), &json!(0)), "{done}");
    scene.holds("acme/paint:v1#bf16", &hashes)?;

    // Merged into what `latest` selects: one file is new, one is known.
    let second: [(&str, &[u8]); 2] = [("config.json", b"{\"a\":1}"), ("copy.safetensors", &weights)];
    let (done, added) = scene.commit(&second, &json!({"mode": "merge", "flavor": "bf16"}))?;
    ensure!((&done["uploaded"], &done["deduped"]) == (&json!(1), &json!(1)), "{done}");
    let mut merged = hashes.as_object().cloned().unwrap_or_default();
    merged.extend(added.as_object().cloned().unwrap_or_default());
    scene.holds("acme/paint#bf16", &merged.into())?;
    // The tag stays where it was.
    scene.holds("acme/paint:v1", &hashes)?;

    // The converter writes a colon in some flavors.
    let (_, other) = scene.commit(&[("config.json", b"[]")], &json!({"mode": "replace", "flavor": "int4:nf4"}))?;
    scene.holds("acme/paint#int4-nf4", &other)
}
