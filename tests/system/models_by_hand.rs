//! `gen-worker models` with the real binary: how much is pulled at once and how that looks, and what leaves a disk that is short.

use std::{collections::BTreeSet, fs, path::PathBuf, process::Command};

use anyhow::{Context, Result, ensure};
use gen_worker_tests::{Ended, Gated, Process, built, eventually};
use rustix::process::Signal;
use serde_json::{Value, json};

use super::models::{Machine, kinds};

/// Bytes of each model.
const MODEL_BYTES: usize = 4 << 20;

/// The models of a hub, as it calls them.
fn names(count: usize) -> Vec<String> {
    (0..count).map(|n| format!("acme/m{n}")).collect()
}

/// A hub with these models.
fn hub(names: &[String]) -> Result<Gated> {
    Gated::serve(names.iter().map(|name| (name.clone(), name.bytes().cycle().take(MODEL_BYTES).collect())))
}

/// As people type it: all of `words`, then the names.
fn words<'a>(words: &[&'a str], names: &'a [String]) -> Vec<&'a str> {
    words.iter().copied().chain(names.iter().map(String::as_str)).collect()
}

/// Pulls `names` with so many at once, or as many as nobody said, and lets them come one after the other.
fn pulls_at_once(said: Option<&str>, expected: usize) -> Result<()> {
    let (machine, names) = (Machine::new()?, names(5));
    let elsewhere = String::from("acme/elsewhere");
    let hub = hub(&[names.as_slice(), std::slice::from_ref(&elsewhere)].concat())?;
    hub.open(&elsewhere);
    let mut command = Command::new(built("gen-worker")?);
    command.args(words(&["models", "pull"], &names)).env_remove("WORKER_MAX_CONCURRENT_DOWNLOADS");
    command.envs(said.map(|said| ("WORKER_MAX_CONCURRENT_DOWNLOADS", said)));
    let mut pull = Process::start("pull", &mut machine.prepared(command, &hub.url()))?;
    let of_all = |asked: Vec<String>| asked.into_iter().filter(|name| *name != elsewhere).collect::<Vec<_>>();
    for ended in 0..names.len() {
        let open = (ended + expected).min(names.len());
        eventually("the models to be asked for", || (of_all(hub.asked()).len() >= open).then_some(()))?;
        // What had leave to come too has done so when another process has started and brought a whole model.
        let other = Machine::new()?.models(&hub.url(), &["pull", &elsewhere])?;
        ensure!(other.code == Some(0), "{}", other.stderr);
        let asked = of_all(hub.asked());
        ensure!(asked.len() == open, "{} at once, after {ended} have come", asked.len() - ended);
        hub.open(asked.get(ended).context("a model that was asked for")?);
    }
    ensure!(pull.wait()?.success(), "{}", pull.log());
    Ok(())
}

#[test]
fn m7_two_models_are_pulled_at_once_when_nobody_says_another_number() -> Result<()> {
    pulls_at_once(None, 2)
}

#[test]
fn m7_as_many_models_are_pulled_at_once_as_the_environment_says() -> Result<()> {
    pulls_at_once(Some("3"), 3)?;
    pulls_at_once(Some("0"), 5)
}

/// What `pull` of a model writes to a terminal: until `half` is there, while half of the model is, and in all.
fn on_a_terminal(more: &str, half: &str) -> Result<(String, String)> {
    let (machine, names) = (Machine::new()?, names(1));
    let (hub, terminal) = (hub(&names)?, tempfile::NamedTempFile::new()?);
    let program = built("gen-worker")?;
    let line = format!("stty cols 120 rows 30; exec '{}' models pull {} {more}", program.display(), names[0]);
    let mut command = Command::new("script");
    command.args(["--quiet", "--flush", "--return", "--command", &line]).arg(terminal.path()).env("TERM", "xterm");
    let mut script = Process::start("script", &mut machine.prepared(command, &hub.url()))?;
    let written = || fs::read(terminal.path()).map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    let shown = eventually("half of the model to be shown", || written().ok().filter(|text| text.contains(half)))?;
    hub.open(&names[0]);
    ensure!(script.wait()?.success(), "{}", script.log());
    Ok((shown, written()?))
}

#[test]
fn m3_9_a_pull_draws_a_bar_on_a_terminal() -> Result<()> {
    let (half, all) = on_a_terminal("", "2.00 MiB/4.00 MiB")?;
    ensure!(half.contains("acme/m0:latest") && half.contains('\u{2588}') && half.contains('\u{1b}'), "{half:?}");
    ensure!(kinds(&all).is_empty() && !all.contains("model_fetch"), "no events between people's lines: {all:?}");
    ensure!(all.lines().any(|line| line.contains("acme/m0:latest\t")), "{all:?}");
    Ok(())
}

#[test]
fn m3_9_a_pull_tells_programs_in_lines_of_json_also_on_a_terminal() -> Result<()> {
    let (_, all) = on_a_terminal("--json", "model_fetch.progress")?;
    ensure!(kinds(&all).starts_with(&["model_fetch.started".to_owned()]), "{all:?}");
    ensure!(!all.contains('\u{1b}') && !all.contains('\u{2588}'), "{all:?}");
    // Without a terminal nobody has to say so.
    let (machine, names) = (Machine::new()?, names(1));
    let hub = hub(&names)?;
    hub.open(&names[0]);
    let pulled = machine.models(&hub.url(), &words(&["pull"], &names))?;
    let told = kinds(&pulled.stderr);
    let expected = ["model_fetch.started", "model_fetch.progress", "model_fetch.completed"];
    ensure!(expected.iter().all(|kind| told.iter().any(|told| told == kind)), "{}", pulled.stderr);
    ensure!(told.len() == pulled.stderr.lines().count() && !pulled.stderr.contains('\u{1b}'), "{}", pulled.stderr);
    Ok(())
}

/// A machine whose store is on a disk of its own, so that its numbers are nobody else's. Its commands run where that is mounted.
struct OwnDisk {
    machine: Machine,
    holder: Process,
    hub: Gated,
    names: Vec<String>,
}

impl OwnDisk {
    /// With so many models of a hub, none of which is there yet.
    fn new(count: usize) -> Result<Self> {
        let (machine, names) = (Machine::new()?, names(count));
        let hub = hub(&names)?;
        names.iter().for_each(|name| hub.open(name));
        fs::create_dir(machine.store())?;
        // More than a download leaves free. What is not written takes no memory.
        let script = r#"mount -t tmpfs -o size=6g tmpfs "$1"; echo mounted; exec cat"#;
        let mut command = Command::new("unshare");
        command.args(["--mount", "--map-root-user", "sh", "-ec", script, "sh"]).arg(machine.store());
        let mut holder = Process::start("disk", &mut command)?;
        holder.wait_for_line("mounted")?;
        Ok(Self { machine, holder, hub, names })
    }

    /// The store, as this process finds it.
    fn store(&self) -> PathBuf {
        let root = PathBuf::from(format!("/proc/{}/root", self.holder.id()));
        root.join(self.machine.store().strip_prefix("/").unwrap_or(&self.machine.store()))
    }

    fn command(&self, words: &[&str]) -> Result<Command> {
        let mut command = Command::new("nsenter");
        command.args(["--user", "--mount", "--preserve-credentials", "--target", &self.holder.id().to_string(), "--"]);
        command.arg(built("gen-worker")?).arg("models").args(words);
        Ok(self.machine.prepared(command, &self.hub.url()))
    }

    /// Runs it, which has to succeed.
    fn models(&self, words: &[&str]) -> Result<Ended> {
        let ended = Process::output(&mut self.command(words)?)?;
        ensure!(ended.code == Some(0), "{words:?}: {:?} {}", ended.code, ended.stderr);
        Ok(ended)
    }

    fn json(&self, words: &[&str]) -> Result<Value> {
        Ok(serde_json::from_str(&self.models(words)?.stdout)?)
    }

    /// A target that needs `bytes` more than are free.
    fn target(&self, bytes: usize) -> Result<String> {
        let available = self.json(&["du", "--json"])?["available_bytes"].as_u64().context("available bytes")?;
        Ok((available + bytes as u64).to_string())
    }

    /// All files of models and blobs.
    fn files(&self) -> Result<BTreeSet<PathBuf>> {
        let (mut found, mut open) = (Vec::new(), vec![self.store().join("blobs"), self.store().join("snapshots")]);
        while let Some(dir) = open.pop() {
            for entry in fs::read_dir(dir)? {
                let entry = entry?;
                let of = if entry.file_type()?.is_dir() { &mut open } else { &mut found };
                of.push(entry.path());
            }
        }
        Ok(found.into_iter().collect())
    }
}

/// The refs of rows.
fn refs(rows: &Value) -> Vec<&str> {
    rows.as_array().into_iter().flatten().filter_map(|row| row["ref"].as_str()).collect()
}

#[test]
fn c51_m8_4_gc_lets_the_longest_unused_leave_and_a_dry_run_says_which_before() -> Result<()> {
    let disk = OwnDisk::new(4)?;
    for name in &disk.names {
        disk.models(&["pull", name])?;
    }
    disk.models(&["pin", "acme/m0:latest"])?;
    // Used again: from now on the newest.
    disk.models(&["pull", "acme/m1"])?;
    let (target, files) = (disk.target(MODEL_BYTES + MODEL_BYTES / 2)?, disk.files()?);
    let leave = ["acme/m2:latest", "acme/m3:latest"];

    let dry = disk.json(&["gc", "--dry-run", "--json", "--target", &target])?;
    ensure!(refs(&dry["evicted"]) == leave && dry["dry_run"] == true, "{dry}");
    let told = disk.models(&["gc", "--dry-run", "--target", &target])?.stdout;
    ensure!(told == "would leave\tacme/m2:latest\t4.00 MiB\nwould leave\tacme/m3:latest\t4.00 MiB\n", "{told}");
    ensure!(disk.files()? == files, "nothing has left yet");
    ensure!(refs(&disk.json(&["list", "--json"])?).len() == 4);

    let real = disk.json(&["gc", "--json", "--target", &target])?;
    ensure!(real["evicted"] == dry["evicted"] && real["dry_run"] == false, "{real} {dry}");
    ensure!(real["freed_bytes"].as_u64() >= Some(2 * MODEL_BYTES as u64), "{real}");
    let left = disk.json(&["list", "--json"])?;
    ensure!(refs(&left) == ["acme/m0:latest", "acme/m1:latest"], "{left}");
    ensure!(disk.files()?.len() == 4, "a blob and a file of each of the two: {:?}", disk.files()?);
    disk.models(&["verify"])?;

    // The pinned one stays even when its bytes are wanted, and then nothing leaves for nothing.
    let both = disk.target(2 * MODEL_BYTES)?;
    let refused = Process::output(&mut disk.command(&["gc", "--target", &both])?)?;
    ensure!(refused.code == Some(1) && refused.stderr.contains("pinned"), "{}", refused.stderr);
    ensure!(refs(&disk.json(&["list", "--json"])?).len() == 2);
    Ok(())
}

/// What is true at any moment: what is in the place of a blob or of a model is all of it, and right.
fn assert_invariants(disk: &OwnDisk) -> Result<()> {
    for path in disk.files()? {
        let hash = blake3::hash(&fs::read(&path)?).to_string();
        let named = match path.file_name().and_then(|name| name.to_str()) {
            Some("text") => path.parent().and_then(|dir| dir.file_name()),
            _ => path.file_name(),
        };
        ensure!(named.and_then(|name| name.to_str()) == Some(hash.as_str()), "{} has other bytes", path.display());
    }
    for tree in fs::read_dir(disk.store().join("snapshots"))? {
        ensure!(tree?.path().join("text").is_file(), "a model without its file");
    }
    let listed = disk.json(&["list", "--json"])?;
    for row in listed.as_array().context("a list")? {
        let path = row["path"].as_str().context("a path")?;
        let name = path.rsplit('/').next().context("a name")?;
        ensure!(disk.store().join("snapshots").join(name).join("text").is_file(), "{row}");
    }
    Ok(())
}

#[test]
fn m8_6_gc_that_is_killed_at_any_moment_leaves_whole_models_and_a_store_that_works() -> Result<()> {
    let disk = OwnDisk::new(8)?;
    // Only all of them are enough.
    let (all, mut killed) = (8 * MODEL_BYTES - MODEL_BYTES / 2, 0);
    for round in 0..disk.names.len() {
        disk.models(&words(&["pull"], &disk.names))?;
        let target = disk.target(all)?;
        let mut gc = Process::start("gc", &mut disk.command(&["gc", "--target", &target])?)?;
        // Another number of models has left each time when it is killed.
        let (snapshots, stay) = (disk.store().join("snapshots"), disk.names.len() - round - 1);
        while fs::read_dir(&snapshots)?.count() > stay && gc.is_running() {
            std::thread::yield_now();
        }
        if gc.is_running() {
            gc.signal(Signal::KILL)?;
        }
        killed += usize::from(gc.wait()?.code().is_none());
        assert_invariants(&disk)?;
    }
    ensure!(killed > 0, "it was always faster than this test");
    disk.models(&words(&["pull"], &disk.names))?;
    disk.models(&["verify"])?;
    assert_invariants(&disk)?;
    let target = disk.target(all)?;
    let collected = disk.json(&["gc", "--json", "--target", &target])?;
    ensure!(refs(&collected["evicted"]).len() == 8, "{collected}");
    ensure!(disk.files()?.is_empty() && disk.json(&["list", "--json"])? == json!([]));
    ensure!(fs::read_dir(disk.store().join("leaving"))?.next().is_none(), "what was taken away is gone");
    Ok(())
}
