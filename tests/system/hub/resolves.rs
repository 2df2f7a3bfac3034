//! The peer's `resolve_repo` and its downloader.

use anyhow::{Result, bail, ensure};
use gen_worker_hub::token::{Area, Right};
use gen_worker_hubd::Visibility;
use gen_worker_tests::{OwnHub, RESOLVES_MAX};
use serde_json::{Value, json};

use super::{COMMITS, PEERS, content, told, write};

/// A hub with one repository of `acme`, and what is in it.
struct Scene {
    hub: OwnHub,
    token: String,
    hashes: Value,
    digest: String,
}

impl Scene {
    fn of(visibility: Visibility) -> Result<Self> {
        let hub = OwnHub::start(visibility)?;
        let token = hub.producer("acme")?.reveal().to_owned();
        let dir = tempfile::tempdir()?;
        let files = [("config.json", b"{}".to_vec()), ("unet/model.safetensors", content(3_000_000, 1))];
        let hashes = told(&write(dir.path(), &files.each_ref().map(|(path, bytes)| (*path, bytes.as_slice())))?);
        let options = json!({"mode": "replace", "flavor": "bf16", "tags": ["v1"]});
        let call =
            json!({"token": token, "owner": "acme", "repo": "acme/Paint", "dir": dir.path(), "options": options});
        let done = hub.peer_does(COMMITS, "commit", call)?;
        let digest = done["checkpoint_id"].as_str().unwrap_or_default().to_owned();
        ensure!(digest.starts_with("blake3:"), "{done}");
        Ok(Self { hub, token, hashes, digest })
    }

    fn resolve(&self, version: &str, reference: &str, token: Option<&str>) -> Result<Value> {
        self.hub.peer(version, "resolve", json!({"ref": reference, "token": token}))
    }
}

#[test]
fn h16_1_the_wheel_resolves_tags_digests_and_flavors() -> Result<()> {
    let scene = Scene::of(Visibility::Private)?;
    for version in PEERS {
        for reference in ["acme/Paint", "acme/paint:v1", "acme/paint:v1#bf16", &format!("acme/paint@{}", scene.digest)]
        {
            let answer = scene.resolve(version, reference, Some(&scene.token))?;
            let files = answer["ok"]["files"].as_object().cloned().unwrap_or_default();
            let hashes: Value = files
                .iter()
                .map(|(path, file)| (path.clone(), file[0].clone()))
                .collect::<serde_json::Map<_, _>>()
                .into();
            ensure!(hashes == scene.hashes, "{reference} by {version}: {answer}");
            ensure!(answer["ok"]["digest"] == scene.digest.trim_start_matches("blake3:"), "{answer}");
            ensure!(files["unet/model.safetensors"][1] == 3_000_000, "{answer}");
        }
        for unknown in ["acme/paint:v2", "acme/paint#fp8", "acme/other", "other/paint"] {
            let answer = scene.resolve(version, unknown, Some(&scene.token))?;
            ensure!(answer["error"] == "HubRepoNotFoundError", "{unknown} by {version}: {answer}");
        }
    }
    Ok(())
}

#[test]
fn h16_1_the_wheel_hears_of_private_repositories_wrong_tokens_and_limits() -> Result<()> {
    let scene = Scene::of(Visibility::Private)?;
    for version in PEERS {
        // Private looks like absent to who may not read it.
        let other = scene.hub.token("other", &[(Area::Repo, Right::Read, "other")])?;
        let answer = scene.resolve(version, "acme/paint", Some(other.reveal()))?;
        ensure!(answer["error"] == "HubRepoNotFoundError", "{answer}");
        let answer = scene.resolve(version, "acme/paint", Some("nonsense"))?;
        ensure!(answer["error"] == "HubAuthError", "{answer}");
    }
    // A minute may end among the calls, and they count anew from there.
    let mut answers = Vec::new();
    for _ in 0..=2 * RESOLVES_MAX {
        let answer = scene.resolve(PEERS[0], "acme/paint", None)?;
        if answer["message"].as_str().is_some_and(|message| message.contains("rate-limited")) {
            ensure!(answers.len() >= RESOLVES_MAX as usize, "limited too early: {answers:?}");
            return Ok(());
        }
        ensure!(answer["error"] == "HubRepoNotFoundError", "{answer}");
        answers.push(answer);
    }
    bail!("nothing was limited: {answers:?}")
}

#[test]
fn h16_1_the_wheel_pulls_what_it_resolved() -> Result<()> {
    let scene = Scene::of(Visibility::Public)?;
    for version in PEERS {
        let dir = tempfile::tempdir()?;
        let pulled = scene.hub.peer_does(version, "pull", json!({"ref": "acme/paint:v1", "dir": dir.path()}))?;
        ensure!(pulled == scene.hashes, "{version}: {pulled}");
    }
    Ok(())
}
