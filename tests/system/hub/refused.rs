//! Clients whose calls are refused: for a while, so that they come again when they are told to, or for good.

use std::{
    path::Path,
    process::Command,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use gen_worker_hub::client::{HubClient, HubClientOptions};
use gen_worker_hubd::Visibility;
use gen_worker_tests::{Ended, Meeting, OwnHub, PART_BYTES, Process, Refusal, Refusing, built};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::{COMMITS, content, told, write};

/// By how much the converter spreads its waits, at most: a tenth.
const SPREAD: f64 = 1.1;

/// A converter with two files, and a hub that refuses.
struct Scene {
    refusing: Arc<Refusing>,
    hub: OwnHub,
    dir: TempDir,
    hashes: Value,
}

impl Scene {
    fn new() -> Result<Self> {
        let (refusing, dir) = (Refusing::none(), tempfile::tempdir()?);
        let hub = OwnHub::start_behind(&refusing, Visibility::Public)?;
        let large = content(usize::try_from(PART_BYTES + 1)?, 1);
        let hashes = told(&write(dir.path(), &[("config.json", b"{}"), ("model.safetensors", &large)])?);
        Ok(Self { refusing, hub, dir, hashes })
    }

    /// Commits the files: what is said of that, and how long was waited between tries.
    fn commit(&self) -> Result<(Value, Vec<f64>)> {
        let token = self.hub.producer("acme")?;
        let call = json!({
            "token": token.reveal(), "owner": "acme", "repo": "acme/paint", "dir": self.dir.path(), "without_waits": true,
        });
        let answer = self.hub.peer(COMMITS, "commit", call)?;
        let slept = answer["slept"].as_array().context("its waits")?;
        let slept = slept.iter().map(|wait| wait.as_f64().context("a number")).collect::<Result<_>>()?;
        Ok((answer, slept))
    }

    /// The files of the repository are those of the commit.
    fn is_there(&self) -> Result<()> {
        let dir = tempfile::tempdir()?;
        let pulled = self.hub.peer_does(COMMITS, "pull", json!({"ref": "acme/paint", "dir": dir.path()}))?;
        ensure!(pulled == self.hashes, "{pulled}");
        Ok(())
    }
}

#[test]
fn h16_3_the_converter_comes_again_when_it_is_told_to() -> Result<()> {
    let scene = Scene::new()?;
    // Each call of a commit; what is asked counts instead of the wait that it would have chosen, up to half a minute.
    scene.refusing.refuse("POST", "commits", &[(503, Some("3"))]);
    scene.refusing.refuse("PUT", "parts", &[(429, Some("7")), (507, Some("90"))]);
    scene.refusing.refuse("POST", "complete", &[(503, Some("4"))]);
    scene.refusing.refuse("POST", "finalize", &[(500, Some("2.5")), (503, Some("soon")), (503, Some("0"))]);
    let (answer, slept) = scene.commit()?;
    ensure!(answer["ok"]["uploaded"] == 2, "{answer}");
    // What is no number of seconds counts as nothing: then each wait is twice the one before.
    let expected = [3.0, 7.0, 30.0, 4.0, 2.5, 5.0, 10.0];
    ensure!(slept.len() == expected.len(), "{slept:?}");
    for (wait, expected) in slept.iter().zip(expected) {
        ensure!((expected..=expected * SPREAD).contains(wait), "{slept:?}");
    }
    scene.is_there()
}

/// A part that is refused with these answers, and how many calls that takes.
fn gives_up(refusals: &[Refusal]) -> Result<()> {
    let scene = Scene::new()?;
    scene.refusing.refuse("PUT", "parts", refusals);
    let (answer, slept) = scene.commit()?;
    let (status, tries) = (refusals.last().context("a refusal")?.0, refusals.len());
    let message = answer["message"].as_str().unwrap_or_default();
    ensure!(message.contains(&format!("part PUT failed ({status})")), "{answer}");
    ensure!(slept.len() == tries - 1, "{slept:?}");
    let seen = scene.refusing.take_seen();
    ensure!(seen.iter().filter(|seen| seen.method == "PUT").count() == tries, "{seen:?}");
    ensure!(!seen.iter().any(|seen| seen.path.ends_with("/finalize")), "{seen:?}");
    // It says so, and the hub has heard it: the commit cannot be finished by anybody any more.
    let last = seen.last().context("a call")?;
    ensure!((last.method.as_str(), last.status) == ("DELETE", 204), "{seen:?}");
    let (commits, revision) = last.path.rsplit_once('/').context("a path")?;
    ensure!(commits.ends_with("/repos/acme/paint/commits"), "{seen:?}");
    let token = Some(scene.hub.producer("acme")?);
    let options = HubClientOptions { base_url: scene.hub.url.clone(), token, ..HubClientOptions::default() };
    let client = HubClient::new(options)?;
    let (repo, revision) = ("acme/paint".parse()?, revision.parse()?);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let closed = runtime.block_on(client.finalize_commit(&repo, &revision)).err().context("a closed commit")?;
    ensure!(closed.status() == Some(410) && closed.code() == Some("commit_closed"), "{closed:?}");
    // Nothing of it is in the way of another one.
    let (answer, _) = scene.commit()?;
    ensure!(answer["ok"]["uploaded"] == 2, "{answer}");
    scene.is_there()
}

#[test]
fn h16_3_the_converter_gives_a_commit_up_when_a_part_is_refused() -> Result<()> {
    gives_up(&[(403, None)])
}

#[test]
fn h16_3_the_converter_gives_a_commit_up_when_a_part_fails_each_time() -> Result<()> {
    gives_up(&[(503, None), (503, Some("1")), (500, None), (429, Some("2")), (507, Some("5"))])
}

/// Pushes the files of `dir` with our own command.
fn push(hub: &OwnHub, dir: &Path) -> Result<Ended> {
    let mut command = Command::new(built("gen-worker")?);
    command.args(["hub", "push"]).arg(dir).arg("acme/paint");
    let token = hub.producer("acme")?;
    Process::output(command.env("TENSORHUB_URL", &hub.url).env("TENSORHUB_TOKEN", token.reveal()))
}

#[test]
fn h6_5_a_push_comes_again_with_a_part_when_it_is_told_to() -> Result<()> {
    let scene = Scene::new()?;
    // Twice what it would have chosen.
    scene.refusing.refuse("PUT", "parts", &[(503, Some("2"))]);
    let begun = Instant::now();
    let ended = push(&scene.hub, scene.dir.path())?;
    ensure!(ended.code == Some(0), "{}", ended.stderr);
    ensure!(begun.elapsed() >= Duration::from_secs(2), "{:?}", begun.elapsed());
    scene.is_there()
}

#[test]
fn h6_7_a_push_whose_part_is_refused_each_time_says_why_and_gives_the_commit_up() -> Result<()> {
    let scene = Scene::new()?;
    // As often as the three parts of the two files come, which go at once.
    scene.refusing.refuse("PUT", "parts", &[(507, Some("0.01")); 3 * 5]);
    let ended = push(&scene.hub, scene.dir.path())?;
    ensure!(ended.code == Some(1) && ended.stderr.contains("status 507 (refused)"), "{ended:?}");
    let seen = scene.refusing.take_seen();
    let last = seen.last().context("a call")?;
    ensure!((last.method.as_str(), last.status) == ("DELETE", 204), "{seen:?}");
    Ok(())
}

#[test]
fn files_of_a_push_do_not_wait_for_each_other() -> Result<()> {
    // So many are sent before the hub confirms the first of them; the last pair of files has one content, which comes once.
    const CONTENTS: u8 = 8;
    let hub = OwnHub::start_meeting(Meeting::of(usize::from(CONTENTS), "complete"), Visibility::Public)?;
    let dir = tempfile::tempdir()?;
    let contents: Vec<_> = (0..=CONTENTS).map(|file| (format!("{file}.txt"), [file.min(CONTENTS - 1)])).collect();
    let files: Vec<_> = contents.iter().map(|(path, content)| (path.as_str(), content.as_slice())).collect();
    let hashes = told(&write(dir.path(), &files)?);
    let ended = push(&hub, dir.path())?;
    ensure!(ended.code == Some(0), "{}", ended.stderr);
    let back = tempfile::tempdir()?;
    let pulled = hub.peer_does(COMMITS, "pull", json!({"ref": "acme/paint", "dir": back.path()}))?;
    ensure!(pulled == hashes, "{pulled}");
    Ok(())
}
