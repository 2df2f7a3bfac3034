//! Clients that know nothing of the database and the bucket behind a hub.

use std::collections::BTreeMap;

use gen_worker_tests::Process;

use super::*;

/// The versions of the peer.
const PEERS: [&str; 2] = ["0.11.2", "0.13.34"];

/// The one whose package can commit.
const COMMITS: &str = "0.13.34";

/// Hashes of the files below `dir`, by their paths.
fn hashes(dir: &Path) -> Result<BTreeMap<String, String>> {
    let mut found = BTreeMap::new();
    let mut places = vec![dir.to_owned()];
    while let Some(place) = places.pop() {
        for entry in fs::read_dir(&place)? {
            let path = entry?.path();
            if path.is_dir() {
                places.push(path);
            } else {
                let name = path.strip_prefix(dir)?.to_string_lossy().into_owned();
                found.insert(name, blake3::hash(&fs::read(&path)?).to_string());
            }
        }
    }
    Ok(found)
}

#[test]
fn h16_1_the_wheel_and_our_own_command_pull_from_a_hub_over_a_database() -> Result<()> {
    let place = Place::new()?;
    let hub = place.hub()?;
    let weights = weights();
    let dir = place.files("paint", &[("config.json", b"{}"), ("unet/model.txt", &weights), ("empty.txt", b"")])?;
    let expected = hashes(&dir)?;
    // Committed by the peer's own code, in parts.
    let token = hub.token.reveal();
    let call = json!({"token": token, "owner": "acme", "repo": "acme/paint", "dir": dir, "options": {"tags": ["v1"]}});
    let done = hub.peer_does(COMMITS, "commit", call)?;
    ensure!(done["uploaded"] == 3, "{done}");
    for version in PEERS {
        let dir = tempfile::tempdir()?;
        let pulled = hub.peer_does(version, "pull", json!({"ref": "acme/paint:v1", "dir": dir.path()}))?;
        ensure!(pulled == json!(expected), "{version}: {pulled}");
    }
    let machine = tempfile::tempdir()?;
    let mut pull = std::process::Command::new(built("gen-worker")?);
    pull.args(["models", "pull", "acme/paint:v1"]).current_dir(machine.path()).env("TENSORHUB_URL", &hub.url);
    pull.env("TENSORHUB_CAS_DIR", machine.path().join("cas")).env_remove("GEN_WORKER_MODELS");
    let ended = Process::output(&mut pull)?;
    ensure!(ended.code == Some(0), "{}", ended.stderr);
    let path = ended.stdout.trim_end().split('\t').nth(1).with_context(|| format!("a path: {}", ended.stdout))?;
    ensure!(hashes(Path::new(path))? == expected, "{path}");
    Ok(())
}
