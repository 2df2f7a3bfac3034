//! Models of Hugging Face by the real binaries, from a server of the test: what variables choose of a repository.

#[path = "../../../crates/store/tests/store/providers/site.rs"]
#[expect(dead_code, clippy::unwrap_used, reason = "it is a part of the tests of the store, which use more of it")]
mod site;

use std::{fs, path::Path, process::Command};

use anyhow::{Context, Result, ensure};
use gen_worker_hub::Digest;
use gen_worker_proto::pb::ModelState;
use gen_worker_tests::{Ended, Process, Scripted, built};
use serde_json::{Value, json};
use site::{Reply, Site};

use super::{EMBEDDER, Machine, states};

const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

/// What the newer rules choose of the repository that [`publish`] has, and what those of version 0.3 do.
const MODERN: [&str; 6] = [
    "README.md",
    "extra.json",
    "model_index.json",
    "safety_checker/model.safetensors",
    "unet/config.json",
    "unet/model.bf16.safetensors",
];
const LEGACY: [&str; 3] = ["model_index.json", "unet/config.json", "unet/model.fp16.safetensors"];

/// A safetensors file of one tensor of this format.
fn weights(dtype: &str) -> Vec<u8> {
    let header = json!({"w": {"dtype": dtype, "shape": [2], "data_offsets": [0, 4]}}).to_string();
    [&(header.len() as u64).to_le_bytes()[..], header.as_bytes(), &[7; 4]].concat()
}

/// A pipeline at `site`, called `repo`.
fn publish(site: &Site, repo: &str) {
    let index = br#"{"_class_name": "P", "unet": ["diffusers", "U"], "safety_checker": ["x", "Y"]}"#;
    let files: [(&str, Vec<u8>); 7] = [
        ("README.md", b"x".to_vec()),
        ("extra.json", b"{}".to_vec()),
        ("model_index.json", index.to_vec()),
        ("safety_checker/model.safetensors", weights("F16")),
        ("unet/config.json", b"{}".to_vec()),
        ("unet/model.bf16.safetensors", weights("BF16")),
        ("unet/model.fp16.safetensors", weights("F16")),
    ];
    let mut siblings = Vec::new();
    for (path, content) in &files {
        let lfs = json!({"sha256": Digest::sha256(content).hex(), "size": content.len(), "pointerSize": 134});
        siblings.push(json!({"rfilename": path, "size": content.len(), "blobId": "0".repeat(40), "lfs": lfs}));
        site.on(&file(repo, path), [Reply::bytes(content)]);
    }
    let listing = json!({"id": repo, "sha": COMMIT, "siblings": siblings});
    site.on(&format!("/api/models/{repo}/revision/main"), [Reply::json(&listing)]);
}

/// Where `path` of `repo` is at a site.
fn file(repo: &str, path: &str) -> String {
    format!("/{repo}/resolve/{COMMIT}/{path}")
}

/// A command of `machine` whose Hugging Face is `site`, with these variables.
fn with(mut command: Command, site: &Site, variables: &[(&str, &str)]) -> Command {
    command.env("HF_ENDPOINT", &site.base).envs(variables.iter().copied());
    command
}

fn pull(machine: &Machine, site: &Site, variables: &[(&str, &str)]) -> Result<Ended> {
    let command = machine.command(&built("gen-worker")?, "", &["models", "pull", "hf:o/paint"]);
    Process::output(&mut with(command, site, variables))
}

/// The files below `dir`, sorted.
fn files(dir: &Path) -> Result<Vec<String>> {
    let (mut found, mut open) = (Vec::new(), vec![dir.to_owned()]);
    while let Some(at) = open.pop() {
        for entry in fs::read_dir(&at).with_context(|| format!("read {}", at.display()))? {
            let path = entry?.path();
            if path.is_dir() {
                open.push(path);
            } else {
                found.push(path.strip_prefix(dir)?.display().to_string());
            }
        }
    }
    found.sort();
    Ok(found)
}

/// What a machine without any model gets.
fn pulled(site: &Site, variables: &[(&str, &str)]) -> Result<Vec<String>> {
    let machine = Machine::new()?;
    let ended = pull(&machine, site, variables)?;
    ensure!(ended.code == Some(0), "{variables:?}: {}", ended.stderr);
    let dir = ended.stdout.trim().strip_prefix("o/paint\t").context("the directory")?;
    files(Path::new(dir))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn m4_8_m4_14_the_old_variables_choose_what_a_pull_brings() -> Result<()> {
    let site = Site::start().await;
    publish(&site, "o/paint");
    let sorted = |files: &[&str], more: &[&str]| {
        let mut all: Vec<_> = files.iter().chain(more).map(|file| (*file).to_owned()).collect();
        all.sort();
        all
    };
    let checker = "safety_checker/model.safetensors";
    for (variables, expected) in [
        (None, sorted(&MODERN, &[])),
        (Some(("COZY_HF_WEIGHT_PRECISIONS", "fp16,bf16")), sorted(&LEGACY, &[])),
        (Some(("COZY_HF_COMPONENTS", "safety_checker")), sorted(&["model_index.json"], &[checker])),
        (Some(("COZY_HF_INCLUDE_OPTIONAL_COMPONENTS", "t")), sorted(&LEGACY, &[checker])),
        (Some(("COZY_HF_ALLOW_ROOT_JSON", "1")), sorted(&LEGACY, &["extra.json"])),
        (Some(("COZY_HF_FULL_REPO_DOWNLOAD", "yes")), sorted(&MODERN, &["unet/model.fp16.safetensors"])),
    ] {
        let variables: Vec<_> = variables.into_iter().collect();
        let got = pulled(&site, &variables)?;
        ensure!(got == expected, "{variables:?}: {got:?}");
    }

    // What is there by other rules is not what is wanted by these.
    let machine = Machine::new()?;
    site.asked();
    ensure!(pull(&machine, &site, &[])?.code == Some(0));
    let half = file("o/paint", "unet/model.fp16.safetensors");
    ensure!(!site.targets().contains(&half), "the newer rules do not want it");
    ensure!(pull(&machine, &site, &[("COZY_HF_WEIGHT_PRECISIONS", "fp16")])?.code == Some(0));
    ensure!(site.targets().contains(&half), "it came");
    // Nobody is asked again, and where nobody can be asked it is there.
    ensure!(pull(&machine, &site, &[("COZY_HF_WEIGHT_PRECISIONS", "fp16")])?.code == Some(0));
    ensure!(site.targets().is_empty());
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn m4_7_m4_16_guards_end_a_pull_and_wrong_values_are_named() -> Result<()> {
    let (site, machine) = (Site::start().await, Machine::new()?);
    publish(&site, "o/paint");
    let refused = pull(&machine, &site, &[("COZY_HF_MAX_REPO_BYTES", "10")])?;
    ensure!(refused.code == Some(3) && refused.stderr.contains("the limit is 10:"), "{}", refused.stderr);
    for (name, value) in
        [("COZY_HF_WEIGHT_PRECISIONS", "fp17"), ("COZY_HF_COMPONENTS", "../x"), ("HF_ENDPOINT", "nowhere")]
    {
        let wrong = pull(&machine, &site, &[(name, value)])?;
        ensure!(wrong.code == Some(2) && wrong.stderr.contains(name), "{}", wrong.stderr);
    }
    site.on(&file("o/paint", "README.md"), [Reply::bytes(b"x").stall(0)]);
    let late = pull(&machine, &site, &[("COZY_HF_DOWNLOAD_MAX_SECONDS", "1"), ("WORKER_DOWNLOAD_RETRIES", "1")])?;
    ensure!(late.code == Some(3) && late.stderr.contains("did not come within 1 s"), "{}", late.stderr);
    site.on(&file("o/paint", "README.md"), [Reply::bytes(b"x").stall(0), Reply::bytes(b"x")]);
    let stalled = pull(&machine, &site, &[("COZY_HF_DOWNLOAD_STALL_TIMEOUT_S", "1")])?;
    ensure!(stalled.code == Some(0), "{}", stalled.stderr);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn m4_8_a_worker_of_an_endpoint_chooses_as_a_pull_does() -> Result<()> {
    let (site, machine) = (Site::start().await, Machine::new()?);
    publish(&site, EMBEDDER);
    let mut scripted = Scripted::listen().await?;
    let mut command = machine.command(&built("embed")?, "", &["worker"]);
    command.env("ORCHESTRATOR_PUBLIC_ADDR", format!("grpc://{}", scripted.address())).env("WORKER_ID", "w1");
    let _worker = Process::start("worker", &mut with(command, &site, &[("COZY_HF_INCLUDE_OPTIONAL_COMPONENTS", "0")]))?;
    let mut session = scripted.session().await?;
    states(&mut session, ModelState::OnDisk).await?;
    let repo = machine.store().join("huggingface/hub/models--sentence-transformers--all-MiniLM-L6-v2");
    let got = files(&repo.join("snapshots").join(COMMIT))?;
    ensure!(got == LEGACY, "{got:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn m3_8_what_another_program_left_is_used_where_nobody_can_be_asked() -> Result<()> {
    let (site, machine) = (Site::start().await, Machine::new()?);
    publish(&site, "o/paint");
    ensure!(pull(&machine, &site, &[])?.code == Some(0));
    // As after another program: the cache of Hugging Face, and no notes of ours.
    fs::remove_dir_all(machine.store().join("refs")).context("remove the notes")?;
    let again = machine.models("", &["pull", "hf:o/paint"])?;
    ensure!(again.code == Some(0) && again.stdout.starts_with("o/paint\t"), "{}", again.stderr);
    let nothing = machine.models("", &["pull", "hf:o/other"])?;
    ensure!(nothing.code == Some(3) && nothing.stderr.contains("cannot be reached"), "{}", nothing.stderr);
    // Python workers have it in the home of Hugging Face itself.
    let other = Machine::new()?;
    let mut command = other.command(&built("gen-worker")?, "", &["models", "pull", "--offline", "hf:o/paint"]);
    let home = machine.store().join("huggingface/hub");
    let there = Process::output(command.env("HF_HOME", &home))?;
    let dir = there.stdout.trim().strip_prefix("o/paint\t").with_context(|| there.stderr.clone())?;
    ensure!(Path::new(dir).starts_with(&home) && files(Path::new(dir))? == MODERN, "{dir}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn m4_4_whoever_pulls_a_flavor_that_no_weights_have_is_told_so() -> Result<()> {
    let (site, machine) = (Site::start().await, Machine::new()?);
    publish(&site, "o/paint");
    let command = machine.command(&built("gen-worker")?, "", &["models", "pull", "hf:o/paint#fp8"]);
    let ended = Process::output(&mut with(command, &site, &[]))?;
    ensure!(ended.code == Some(0), "{}", ended.stderr);
    // Nobody looks at it: each line is for programs.
    let lines: Vec<Value> = ended.stderr.lines().map(serde_json::from_str).collect::<Result<_, _>>()?;
    let warned = lines.iter().filter(|line| line["level"] == "WARN" && line["flavor"] == "fp8").count();
    ensure!(warned == 1, "{}", ended.stderr);
    Ok(())
}
