//! `gen-worker hub` on a disk that is full, or that takes nothing.

use std::{
    fs::{self, File},
    io::{ErrorKind, Write as _},
    path::Path,
    process::Command,
};

use anyhow::{Result, ensure};
use gen_worker_hub::{HubRef, api::FileSource};
use gen_worker_tests::{Api, Ended, HubProcess, Process, built, in_own_world};

use super::{content, write};

/// Takes all the space that is left.
fn fill(path: &Path) -> Result<()> {
    let mut file = File::create_new(path)?;
    loop {
        match file.write(&[1; 64 << 10]) {
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::StorageFull => return Ok(()),
            Err(error) => return Err(error.into()),
        }
    }
}

/// Reads the files of a repository back, by their names.
fn read(hub: &HubProcess, reference: &str) -> Result<Vec<(String, Vec<u8>)>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let resolved = runtime.block_on(hub.client()?.resolve(&HubRef::parse(reference)?))?;
    let file = |file: &gen_worker_hub::api::ResolvedFile| {
        let FileSource::Url(url) = &file.source else { anyhow::bail!("an address is expected") };
        let (status, bytes) = Api::new("").get_bytes(url.reveal())?;
        ensure!(status == 200, "status {status}");
        Ok((file.path.to_string(), bytes))
    };
    resolved.files.iter().map(file).collect()
}

#[test]
fn a_push_that_finds_the_disk_full_goes_on_once_there_is_room() -> Result<()> {
    let (dir, large) = (tempfile::tempdir()?, content(3 << 20, 2));
    write(dir.path(), &[("small/a", b"1"), ("large/b", &large)])?;
    let mut hub = HubProcess::start_by("mkdir \"$HUB\"; mount -t tmpfs -o size=8m tmpfs \"$HUB\"", &[])?;
    hub.push(&dir.path().join("small"), "acme/small")?;
    let ballast = hub.directory().join("ballast");
    fill(&ballast)?;
    let mut push = Command::new(built("gen-worker")?);
    push.args(["hub", "push"]).arg(dir.path().join("large")).arg("acme/large");
    push.env("TENSORHUB_URL", &hub.url).env("TENSORHUB_TOKEN", hub.token.reveal());
    let mut push = Process::start("push", &mut push)?;
    // Who runs the hub reads why; who reads from it notices nothing.
    let told = hub.process.wait_for_line("request refused")?;
    ensure!(told.contains("disk is full") || told.contains("No space left"), "{told}");
    ensure!(read(&hub, "acme/small")? == [("a".to_owned(), b"1".to_vec())]);
    fs::remove_file(&ballast)?;
    let ended = push.wait()?;
    ensure!(ended.success(), "{}", push.log());
    ensure!(read(&hub, "acme/large")? == [("b".to_owned(), large)]);
    Ok(())
}

/// What a hub says that does not begin, over a directory in which one was before.
fn begun_by(script: &str) -> Result<(String, Ended)> {
    let dir = HubProcess::start(&[])?.kill()?;
    let place = dir.path().join("hub");
    let mut command = in_own_world(script, &place)?;
    command.args(["hub", "--listen", "127.0.0.1:0", "--dir"]).arg(&place);
    Ok((place.display().to_string(), Process::output(&mut command)?))
}

#[test]
fn a_hub_on_a_disk_that_takes_nothing_says_so_and_ends() -> Result<()> {
    let (place, ended) = begun_by("mount --bind \"$HUB\" \"$HUB\"; mount -o remount,bind,ro \"$HUB\"")?;
    ensure!(ended.code == Some(2), "{ended:?}");
    ensure!(ended.stderr.contains(&place) && ended.stderr.contains("Read-only file system"), "{}", ended.stderr);
    Ok(())
}

#[test]
fn a_first_hub_on_a_full_disk_says_so_and_ends() -> Result<()> {
    let fills = "mount -t tmpfs -o size=1m tmpfs \"$HUB\"; cat /dev/zero > \"$HUB/ballast\" 2>&1 || true";
    let (place, ended) = begun_by(fills)?;
    ensure!(ended.code == Some(2), "{ended:?}");
    ensure!(ended.stderr.contains(&place) && ended.stderr.contains("No space left on device"), "{}", ended.stderr);
    Ok(())
}
