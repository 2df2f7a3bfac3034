//! `gen-worker hub` from outside: it serves, takes a checkpoint, gives it back, and keeps it whatever happens to it.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result};
use gen_worker_tests::{Api, Ended, Process, built};
use rustix::process::Signal;
use serde_json::{Value, json};
use tempfile::TempDir;

/// A hub that answers.
struct Hub {
    process: Process,
    api: Api,
    ready: Value,
}

/// Where a hub and a checkpoint are.
struct Place {
    dir: TempDir,
}

impl Place {
    fn new() -> Result<Self> {
        let dir = tempfile::tempdir()?;
        fs::create_dir_all(dir.path().join("checkpoint/unet"))?;
        fs::write(dir.path().join("checkpoint/config.json"), "{}")?;
        fs::write(dir.path().join("checkpoint/empty.txt"), "")?;
        // Several parts of the size that `start` asks for, the last of them odd.
        fs::write(dir.path().join("checkpoint/unet/model.bin.txt"), weights())?;
        Ok(Self { dir })
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn token(&self) -> Result<String> {
        Ok(fs::read_to_string(self.path("hub/operator-token"))?.trim().to_owned())
    }

    fn start(&self, args: &[&str]) -> Result<Hub> {
        let ready = self.path("ready.json");
        let mut command = Command::new(built("gen-worker")?);
        command.args(["hub", "--listen", "127.0.0.1:0", "--part-size", "65536"]).args(args);
        command.current_dir(self.dir.path());
        command.arg("--dir").arg(self.path("hub")).arg("--ready-file").arg(&ready);
        let mut process = Process::start("gen-worker hub", &mut command)?;
        process.wait_for_line("hub is ready")?;
        let ready: Value = serde_json::from_slice(&fs::read(ready)?)?;
        let url = ready.get("hub").and_then(Value::as_str).context("no address")?;
        Ok(Hub { process, api: Api::new(url), ready })
    }

    fn push(&self, hub: &Hub, reference: &str) -> Result<Ended> {
        let mut command = Command::new(built("gen-worker")?);
        command.args(["hub", "push"]).arg(self.path("checkpoint")).arg(reference);
        command.env("TENSORHUB_URL", hub.url()?).env("TENSORHUB_TOKEN", self.token()?);
        Process::output(&mut command)
    }
}

impl Hub {
    fn url(&self) -> Result<&str> {
        self.ready.get("hub").and_then(Value::as_str).context("no address")
    }

    /// Resolves and reads every file back.
    fn files(&self, path: &str) -> Result<Vec<(String, Vec<u8>)>> {
        let resolved = self.api.get(path)?;
        anyhow::ensure!(resolved.status == 200, "{resolved:?}");
        let files = resolved.body.get("files").and_then(Value::as_array).context("files")?.clone();
        let read = |file: &Value| {
            let text = |name: &str| file.get(name).and_then(Value::as_str).context("a text");
            let (status, bytes) = Api::new("").get_bytes(text("url")?)?;
            anyhow::ensure!(status == 200, "status {status}");
            Ok((text("path")?.to_owned(), bytes))
        };
        files.iter().map(read).collect()
    }
}

fn weights() -> Vec<u8> {
    (0..200_001_u32).flat_map(|number| number.to_le_bytes()).take(200_001).collect()
}

fn checkpoint() -> Vec<(String, Vec<u8>)> {
    vec![
        ("config.json".to_owned(), b"{}".to_vec()),
        ("empty.txt".to_owned(), Vec::new()),
        ("unet/model.bin.txt".to_owned(), weights()),
    ]
}

fn pushed(ended: &Ended) -> Result<Value> {
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    Ok(serde_json::from_str(&ended.stdout)?)
}

#[test]
fn h6_22_whoever_pushes_weights_that_can_run_code_is_told_who_gets_them() -> Result<()> {
    let place = Place::new()?;
    let hub = place.start(&["--visibility", "public"])?;
    let safe = pushed(&place.push(&hub, "acme/paint:v1#bf16")?)?;
    assert_eq!(safe.get("unsafe_weights"), Some(&json!(false)), "{safe}");
    fs::write(place.path("checkpoint/weights.bin"), "pickled")?;
    let ended = place.push(&hub, "acme/pickle:v1#bf16")?;
    assert!(ended.stderr.contains("can run code") && ended.stderr.contains("flavor"), "{}", ended.stderr);
    assert_eq!(pushed(&ended)?.get("unsafe_weights"), Some(&json!(true)));
    assert_eq!(hub.api.get("/api/v1/repos/acme/pickle/resolve?tag=v1")?.status, 404);
    assert_eq!(hub.api.get("/api/v1/repos/acme/pickle/resolve?tag=v1&flavor=bf16")?.status, 200);
    // Without a flavor nothing but its digest is a name of it.
    let ended = place.push(&hub, "acme/nameless:v1")?;
    assert!(ended.stderr.contains("only who names its digest"), "{}", ended.stderr);
    let digest = pushed(&ended)?["checkpoint_id"].as_str().context("a digest")?.to_owned();
    assert_eq!(hub.api.get("/api/v1/repos/acme/nameless/resolve?tag=v1")?.status, 404);
    assert_eq!(hub.api.get(&format!("/api/v1/repos/acme/nameless/resolve?digest={digest}"))?.status, 200);
    Ok(())
}

#[test]
fn h6_14_a_push_of_a_flavor_merges_with_that_flavor_alone() -> Result<()> {
    let place = Place::new()?;
    let hub = place.start(&["--visibility", "public"])?;
    let push = |file: &str, reference: &str| {
        let dir = tempfile::tempdir()?;
        fs::write(dir.path().join(file), file)?;
        let mut command = Command::new(built("gen-worker")?);
        command.args(["hub", "push", "--merge"]).arg(dir.path()).arg(reference);
        command.env("TENSORHUB_URL", hub.url()?).env("TENSORHUB_TOKEN", place.token()?);
        pushed(&Process::output(&mut command)?)
    };
    for (file, reference) in [("a", "acme/paint#bf16"), ("b", "acme/paint#fp8"), ("c", "acme/paint#fp8")] {
        push(file, reference)?;
    }
    let plain = push("d", "acme/paint")?;
    let names = |query: &str| -> Result<Vec<String>> {
        let files = hub.files(&format!("/api/v1/repos/acme/paint/resolve?{query}"))?;
        Ok(files.into_iter().map(|(path, _)| path).collect())
    };
    assert_eq!(names("flavor=bf16")?, ["a"]);
    assert_eq!(names("flavor=fp8")?, ["b", "c"]);
    // What has no flavor starts from what `latest` means by itself: bf16, which goes first.
    let digest = plain["checkpoint_id"].as_str().context("a digest")?;
    assert_eq!(names(&format!("digest={digest}"))?, ["a", "d"]);
    Ok(())
}

#[test]
fn h6_12_a_pushed_directory_comes_back_and_is_sent_once() -> Result<()> {
    let place = Place::new()?;
    let mut hub = place.start(&["--visibility", "public"])?;
    let first = pushed(&place.push(&hub, "Acme/Paint:v1#BF16")?)?;
    assert_eq!(first.get("sent_bytes"), Some(&json!(200_003)), "{first}");
    assert_eq!(hub.files("/api/v1/repos/acme/paint/resolve?tag=v1&flavor=bf16")?, checkpoint());
    assert_eq!(hub.files("/api/v1/repos/acme/paint/resolve")?, checkpoint(), "6.16: `latest` moves as well");
    let again = pushed(&place.push(&hub, "acme/paint:v2")?)?;
    assert_eq!((again.get("sent_bytes"), again.get("checkpoint_id")), (Some(&json!(0)), first.get("checkpoint_id")));
    hub.process.signal(Signal::TERM)?;
    assert_eq!(hub.process.wait()?.code(), Some(0));
    assert!(!place.path("ready.json").exists(), "the ready file does not outlive the hub");
    let log = hub.process.log();
    let secret = fs::read_to_string(place.path("hub/secret"))?;
    assert!(!log.contains(secret.trim()) && !log.contains(&place.token()?), "no secret is in the log");
    for name in ["secret", "operator-token"] {
        assert_eq!(place.path("hub").join(name).metadata()?.permissions().mode() & 0o777, 0o600, "{name}");
    }
    Ok(())
}

#[test]
fn a_hub_that_was_killed_has_everything_it_said_it_has() -> Result<()> {
    let place = Place::new()?;
    let mut hub = place.start(&["--visibility", "public"])?;
    pushed(&place.push(&hub, "acme/paint")?)?;
    hub.process.signal(Signal::KILL)?;
    hub.process.wait()?;
    let hub = place.start(&[])?;
    assert_eq!(hub.files("/api/v1/repos/acme/paint/resolve")?, checkpoint());
    let again = pushed(&place.push(&hub, "acme/paint")?)?;
    assert_eq!(again.get("sent_bytes"), Some(&json!(0)), "its token is the same");
    Ok(())
}

#[test]
fn h3_5_a_private_repository_is_not_there_for_others() -> Result<()> {
    let place = Place::new()?;
    let hub = place.start(&[])?;
    pushed(&place.push(&hub, "acme/paint")?)?;
    assert_eq!(hub.api.get("/api/v1/repos/acme/paint/resolve")?.status, 404);
    Ok(())
}

#[test]
fn bad_input_is_named_and_nothing_is_served() -> Result<()> {
    let place = Place::new()?;
    let hub = place.start(&[])?;
    let directory = place.path("hub").display().to_string();
    let open = place.path("open");
    fs::write(&open, "0123456789abcdef")?;
    let open = open.display().to_string();
    let other = place.path("other").display().to_string();
    let serve = |args: &[&str], dir: &str| {
        let mut command = Command::new(built("gen-worker")?);
        command.args(["hub", "--listen", "127.0.0.1:0", "--dir", dir]).args(args);
        Process::output(&mut command)
    };
    let taken = hub.url()?.trim_start_matches("http://").to_owned();
    for (args, dir, code, part) in [
        (&[][..], directory.as_str(), 1, "in use"),
        (&["--part-size", "1000"], &other, 2, "power of two"),
        (&["--token-file", &open], &other, 2, "chmod 600"),
        (&["--public-url", "hub.example"], &other, 2, "public URL"),
        (&["--listen", &taken], &other, 1, "could not listen"),
        (&[], &format!("{open}/below"), 2, "hub directory"),
    ] {
        let args: Vec<&str> = args.to_vec();
        let ended = if args.contains(&"--listen") {
            let mut command = Command::new(built("gen-worker")?);
            command.args(["hub", "--dir", dir]).args(&args);
            Process::output(&mut command)?
        } else {
            serve(&args, dir)?
        };
        assert_eq!(ended.code, Some(code), "{args:?}: {}", ended.stderr);
        assert!(ended.stderr.contains(part), "{args:?}: {}", ended.stderr);
    }
    Ok(())
}

#[test]
fn a_push_says_what_is_wrong_with_it() -> Result<()> {
    let place = Place::new()?;
    let hub = place.start(&[])?;
    let url = hub.url()?.to_owned();
    let token = place.token()?;
    let push = |dir: &Path, reference: &str, url: &str, token: &str| {
        let mut command = Command::new(built("gen-worker")?);
        command.args(["hub", "push"]).arg(dir).arg(reference);
        command.env("TENSORHUB_URL", url).env("TENSORHUB_TOKEN", token);
        Process::output(&mut command)
    };
    let (good, none) = (place.path("checkpoint"), place.path("none"));
    let wrong = "x".repeat(40);
    for (dir, reference, url, token, code, part) in [
        (&good, "paint", url.as_str(), token.as_str(), 2, "ref paint"),
        (&good, "acme/paint#a#b", &url, &token, 2, "acme/paint#a#b"),
        (&none, "acme/paint", &url, &token, 2, "none"),
        (&good, "acme/paint", "", &token, 2, "TENSORHUB_URL"),
        (&good, "acme/paint", &url, "", 2, "TENSORHUB_TOKEN"),
        (&good, "acme/paint", &url, &wrong, 1, "does not accept the token"),
    ] {
        let ended = push(dir, reference, url, token)?;
        assert_eq!(ended.code, Some(code), "{reference}: {}", ended.stderr);
        assert!(ended.stderr.contains(part) && !ended.stderr.contains(&wrong), "{reference}: {}", ended.stderr);
    }
    Ok(())
}

#[test]
fn h13_10_the_command_makes_tokens_for_who_publishes_and_who_promotes() -> Result<()> {
    let place = Place::new()?;
    let hub = place.start(&[])?;
    let token = |words: &[&str]| {
        let mut command = Command::new(built("gen-worker")?);
        command.args(["hub", "token"]).args(words).arg("--dir").arg(place.path("hub"));
        Process::output(&mut command)
    };
    let made = |name: &str, role: &str| {
        let ended = token(&[name, "--tenant", "Acme", "--role", role])?;
        assert_eq!(ended.code, Some(0), "{}", ended.stderr);
        anyhow::Ok(ended.stdout.trim().to_owned())
    };
    let (publisher, promoter) = (made("ann", "publisher")?, made("bob", "promoter")?);
    let agent: ureq::Agent = ureq::Agent::config_builder().http_status_as_error(false).build().into();
    let post = |token: &str, path: &str, body: Value| {
        let url = format!("{}/api/v1/projects/acme/paint{path}", hub.url()?);
        let mut reply = agent.post(url).header("authorization", format!("Bearer {token}")).send_json(body)?;
        anyhow::Ok((reply.status().as_u16(), reply.body_mut().read_json::<Value>()?))
    };
    let manifest = || json!({"manifest": {"functions": [{"name": "draw"}]}});
    assert_eq!(post(&promoter, "/releases", manifest())?.0, 403);
    let (status, release) = post(&publisher, "/releases", manifest())?;
    assert_eq!(status, 201, "{release}");
    let promotion = || json!({"release_id": release["release_id"]});
    assert_eq!(post(&publisher, "/promote", promotion())?.0, 403);
    let (status, moved) = post(&promoter, "/promote", promotion())?;
    assert_eq!((status, &moved[0]["endpoint"], &moved[0]["generation"]), (200, &json!("draw"), &json!(1)));
    for (words, part) in [
        (&["ann", "--tenant", "a/b", "--role", "publisher"][..], "tenant"),
        (&["", "--tenant", "acme", "--role", "publisher"], "a name has"),
        (&["ann", "--tenant", "acme"], "--role"),
        (&["ann", "--tenant", "acme", "--role", "publisher", "--days", "0"], "--days"),
    ] {
        let ended = token(words)?;
        assert!(ended.code == Some(2) && ended.stderr.contains(part), "{words:?}: {}", ended.stderr);
    }
    Ok(())
}

#[test]
fn h13_10_tokens_are_made_of_the_secret_that_the_hub_reads() -> Result<()> {
    let place = Place::new()?;
    // Without a directory it is in the working directory, as in the README.
    let hub = place.start(&["--secret-file", "hub.secret"])?;
    assert_eq!(place.path("hub.secret").metadata()?.permissions().mode() & 0o777, 0o600);
    let token = |variable: &str, words: &[&str]| {
        let mut command = Command::new(built("gen-worker")?);
        command.args(["hub", "token", "ann", "--tenant", "acme", "--role", "publisher"]).args(words);
        command.arg("--dir").arg(place.path("hub")).current_dir(place.dir.path());
        Process::output(command.env("GEN_WORKER_HUB_SECRET_FILE", variable))
    };
    let agent: ureq::Agent = ureq::Agent::config_builder().http_status_as_error(false).build().into();
    let url = format!("{}/api/v1/projects/acme/paint/releases", hub.url()?);
    for (variable, words) in [("", &["--secret-file", "hub.secret"][..]), ("hub.secret", &[])] {
        let made = token(variable, words)?;
        assert_eq!(made.code, Some(0), "{}", made.stderr);
        let manifest = json!({"manifest": {"functions": [{"name": "draw"}]}});
        let reply = agent.post(&url).header("authorization", format!("Bearer {}", made.stdout.trim()));
        assert_eq!(reply.send_json(manifest)?.status(), 201, "{words:?}");
    }
    for (variable, part) in [("", "--secret-file"), ("other.secret", "other.secret")] {
        let refused = token(variable, &[])?;
        assert!(refused.code == Some(2) && refused.stderr.contains(part), "{}", refused.stderr);
        assert!(!place.path("other.secret").exists(), "only a hub makes a secret");
    }
    Ok(())
}
