//! Where files are, as the Python library has them, and what is there already (rules 3.4, 3.8, 4.15).

use std::{fs, path::Path};

use gen_worker_hub::Digest;
use gen_worker_store::{ProviderError, Reach};

use super::{COMMIT, Hub, Kept, REVISION, git_id};
use crate::providers::{
    site::Reply,
    world::{provider_error, safetensors},
};

#[tokio::test]
async fn m4_15_a_repository_is_laid_out_as_the_library_lays_it_out() {
    let hub = Hub::new().await;
    hub.publish_small();
    let held = hub.fetch(&hub.0.store().await, "o/r", Reach::Cached).await.unwrap();
    assert_eq!(held.dir(), hub.snapshot());
    assert_eq!(fs::read_to_string(hub.repo().join("refs/main")).unwrap(), COMMIT);
    let sha256 = Digest::sha256(&safetensors(3000)).hex();
    let link = fs::read_link(hub.snapshot().join("model.safetensors")).unwrap();
    assert_eq!(link, Path::new("../../blobs").join(&sha256));
    let deep = fs::read_link(hub.snapshot().join("sub/tokenizer.json")).unwrap();
    assert_eq!(deep, Path::new("../../../blobs").join(git_id(b"{\"a\":1}")));
    assert_eq!(fs::read(hub.snapshot().join("sub/tokenizer.json")).unwrap(), b"{\"a\":1}");
    assert_eq!(fs::read(hub.snapshot().join("model.safetensors")).unwrap(), safetensors(3000));
    assert_eq!(hub.0.events.take(), ["+o/r"]);
    hub.assert_sound();
}

#[tokio::test]
async fn m3_4_what_a_request_got_is_used_again_without_asking() {
    let hub = Hub::new().await;
    hub.publish_small();
    hub.fetch(&hub.0.store().await, "o/r", Reach::Cached).await.unwrap();
    hub.0.site.asked();
    // Another process, and no server that would answer.
    let store = hub.0.store().await;
    let held = hub.fetch(&store, "o/r", Reach::Cached).await.unwrap();
    assert_eq!((held.dir(), hub.0.site.targets()), (hub.snapshot().as_path(), vec![]));
    fs::remove_file(hub.repo().join("blobs").join(git_id(b"{}"))).unwrap();
    hub.fetch(&store, "o/r", Reach::Cached).await.unwrap();
    let file = format!("/o/r/resolve/{COMMIT}/config.json");
    assert_eq!(hub.0.site.targets(), [REVISION.to_owned(), file], "only what was gone comes again");
}

#[tokio::test]
async fn m4_15_a_download_goes_on_where_the_library_left_it() {
    let hub = Hub::new().await;
    let weights = safetensors(400_000);
    hub.publish(&[("model.safetensors", weights.clone(), Kept::Lfs)]);
    let blobs = hub.repo().join("blobs");
    fs::create_dir_all(&blobs).unwrap();
    let sha256 = Digest::sha256(&weights).hex();
    fs::write(blobs.join(format!("{sha256}.incomplete")), &weights[..150_000]).unwrap();
    hub.fetch(&hub.0.store().await, "o/r", Reach::Cached).await.unwrap();
    let ranges: Vec<_> = hub.0.elsewhere.asked().into_iter().filter_map(|asked| asked.range).collect();
    assert_eq!(ranges, ["bytes=150000-"]);
    assert!(!blobs.join(format!("{sha256}.incomplete")).exists());
}

/// Puts files where the library puts them.
fn as_the_library(hub: &Hub, files: &[(&str, &[u8])]) {
    let blobs = hub.repo().join("blobs");
    fs::create_dir_all(&blobs).unwrap();
    fs::create_dir_all(hub.repo().join("refs")).unwrap();
    fs::write(hub.repo().join("refs/main"), COMMIT).unwrap();
    for (path, content) in files {
        let name = git_id(content);
        fs::write(blobs.join(&name), content).unwrap();
        let at = hub.snapshot().join(path);
        fs::create_dir_all(at.parent().unwrap()).unwrap();
        let up = "../".repeat(path.matches('/').count() + 2);
        std::os::unix::fs::symlink(format!("{up}blobs/{name}"), at).unwrap();
    }
}

#[tokio::test]
async fn m3_8_offline_a_cache_that_the_library_wrote_is_enough_when_it_is_complete() {
    let hub = Hub::new().await;
    let store = hub.0.store().await;
    let index = br#"{"_class_name": "P", "unet": ["diffusers", "U"], "vae": ["diffusers", "V"], "safety_checker": [null, null]}"#;
    let map = br#"{"weight_map": {"a": "m-00001-of-00002.safetensors", "b": "m-00002-of-00002.safetensors"}}"#;
    let (one, two, three) = (safetensors(10), safetensors(20), safetensors(30));
    let all: [(&str, &[u8]); 5] = [
        ("model_index.json", index),
        ("unet/m.safetensors.index.json", map),
        ("unet/m-00001-of-00002.safetensors", &one),
        ("unet/m-00002-of-00002.safetensors", &two),
        ("vae/v.safetensors", &three),
    ];
    for missing in 1..all.len() {
        let _ = fs::remove_dir_all(hub.repo());
        let some: Vec<_> = all.iter().enumerate().filter(|(at, _)| *at != missing).map(|(_, file)| *file).collect();
        as_the_library(&hub, &some);
        // The index of weights is no part of what must be there: the weights say enough.
        if missing != 1 {
            let error = provider_error(hub.fetch(&store, "o/r", Reach::Offline).await);
            assert!(matches!(*error, ProviderError::NotLocal { .. }), "{} {error}", all[missing].0);
        }
    }
    fs::remove_dir_all(hub.repo()).unwrap();
    as_the_library(&hub, &all);
    let held = hub.fetch(&store, "o/r", Reach::Offline).await.unwrap();
    assert_eq!(held.dir(), hub.snapshot());
    let pinned = format!("o/r@{COMMIT}");
    assert_eq!(hub.fetch(&store, &pinned, Reach::Offline).await.unwrap().dir(), hub.snapshot());
    provider_error(hub.fetch(&store, "o/r@v9", Reach::Offline).await);
    assert!(hub.0.site.targets().is_empty());
    // A link to nowhere, and one to outside.
    for target in ["/nowhere", "/etc/hostname", "../../../../../cas/ref-index.json"] {
        let at = hub.snapshot().join("vae/v.safetensors");
        fs::remove_file(&at).unwrap();
        std::os::unix::fs::symlink(target, at).unwrap();
        provider_error(hub.fetch(&store, "o/r", Reach::Offline).await);
    }
}

#[tokio::test]
async fn m3_8_what_others_brought_of_a_repository_is_no_model_when_it_cannot_be_all_of_one() {
    type Files<'a> = &'a [(&'a str, &'a [u8])];
    let hub = Hub::new().await;
    let store = hub.0.store().await;
    let weights = safetensors(10);
    let cases: [(&str, Files<'_>, bool); 6] = [
        ("o/r", &[("config.json", b"{}"), ("tokenizer.json", b"{}")], false),
        ("o/r", &[("text_encoder/config.json", b"{}"), ("text_encoder/model.safetensors", &weights)], false),
        ("o/r", &[("config.json", b"{}"), ("model-00001-of-00002.safetensors", &weights)], false),
        ("o/r#fp16", &[("config.json", b"{}"), ("model.bf16.safetensors", &weights)], false),
        ("o/r#bf16", &[("config.json", b"{}"), ("model.bf16.safetensors", &weights)], true),
        ("o/r", &[("config.json", b"{}"), ("model.safetensors", &weights)], true),
    ];
    for (reference, files, is_model) in cases {
        let _ = fs::remove_dir_all(hub.repo());
        as_the_library(&hub, files);
        let found = hub.fetch(&store, reference, Reach::Offline).await;
        match is_model {
            true => drop(found.unwrap()),
            false => assert!(matches!(*provider_error(found), ProviderError::NotLocal { .. }), "{files:?}"),
        }
    }
}

/// Runs `script` in the Python of a peer, whose library is the real one, with the site as its server. What it prints.
async fn python(hub: &Hub, script: &str) -> String {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let python = workspace.join("target/peers/gen-worker-0.13.34/bin/python");
    assert!(python.exists(), "the peers are not there: cargo xtask setup");
    let command = tokio::process::Command::new(python)
        .args(["-c", script])
        .env_clear()
        .env("HF_HOME", hub.0.dir.path().join("home"))
        .env("HF_ENDPOINT", &hub.0.site.base)
        .env("HF_HUB_DISABLE_TELEMETRY", "1")
        .env("HF_HUB_DISABLE_XET", "1")
        .kill_on_drop(true)
        .output();
    let output = command.await.unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

#[tokio::test]
async fn m4_15_the_python_library_reads_what_we_wrote() {
    let hub = Hub::new().await;
    hub.publish_small();
    let held = hub.fetch(&hub.0.store().await, "o/r", Reach::Cached).await.unwrap();
    hub.0.site.asked();
    let script = "
from huggingface_hub import scan_cache_dir, snapshot_download
print(snapshot_download('o/r', local_files_only=True))
cache = scan_cache_dir()
print(len(cache.warnings), [(r.repo_id, r.nb_files) for r in cache.repos])";
    let expected = format!("{}\n0 [('o/r', 3)]", held.dir().display());
    assert_eq!(python(&hub, script).await, expected);
    assert!(hub.0.site.targets().is_empty());
}

#[tokio::test]
async fn m3_8_we_read_what_the_python_library_wrote() {
    let hub = Hub::new().await;
    let weights = safetensors(3000);
    hub.publish(&[("config.json", b"{}".to_vec(), Kept::Git), ("sub/model.safetensors", weights.clone(), Kept::Git)]);
    for (path, content) in [("config.json", b"{}".to_vec()), ("sub/model.safetensors", weights)] {
        let reply = Reply::bytes(&content).header("ETag", &format!("\"{}\"", git_id(&content)));
        hub.0.site.on(&format!("/o/r/resolve/{COMMIT}/{path}"), [reply.header("X-Repo-Commit", COMMIT)]);
    }
    hub.publish_as_the_library_asks();
    let script = "from huggingface_hub import snapshot_download; print(snapshot_download('o/r'))";
    assert_eq!(python(&hub, script).await, hub.snapshot().display().to_string());
    hub.0.site.asked();
    let held = hub.fetch(&hub.0.store().await, "o/r", Reach::Offline).await.unwrap();
    assert_eq!(held.dir(), hub.snapshot());
    assert!(hub.0.site.targets().is_empty());
}

#[tokio::test]
async fn m3_4_many_callers_of_one_model_are_one_download() {
    let hub = Hub::new().await;
    hub.publish_small();
    let (store, other) = (hub.0.store().await, hub.0.store().await);
    let callers = (0..8).map(|n| hub.fetch(if n % 2 == 0 { &store } else { &other }, "o/r", Reach::Cached));
    let held = futures::future::try_join_all(callers).await.unwrap();
    assert!(held.iter().all(|held| held.dir() == hub.snapshot()));
    let asked = hub.0.site.targets();
    let files = asked.iter().filter(|target| target.contains("/resolve/")).count();
    assert_eq!(files, 3, "each file comes once: {asked:?}");
}
