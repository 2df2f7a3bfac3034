//! `gen-worker hub` over a database and a bucket: alone, and several of them at once.

mod clients;
mod collection;
mod disk;
mod joining;

use std::{collections::BTreeSet, fs, path::Path};

use anyhow::{Context, Result, ensure};
use gen_worker_postgres::Postgres;
use gen_worker_tests::{Api, HubProcess, Moto, Process, built};
use rustix::process::Signal;
use serde_json::{Value, json};
use tempfile::TempDir;

/// In no log: the server asks for none, and gets it all the same.
const PASSWORD: &str = "hunter2";

/// Bytes of a part here.
const PART: usize = 65_536;

/// A database and a bucket.
struct Place {
    postgres: Postgres,
    moto: Moto,
    database: String,
    dir: TempDir,
}

impl Place {
    fn new() -> Result<Self> {
        let postgres = Postgres::start()?;
        let database = postgres.database()?;
        Self::over(postgres, &database)
    }

    /// With this database of this server.
    fn over(postgres: Postgres, database: &str) -> Result<Self> {
        let database = database.replace("postgres@", &format!("postgres:{PASSWORD}@"));
        Ok(Self { postgres, moto: Moto::start()?, database, dir: tempfile::tempdir()? })
    }

    /// Starts a hub over them, with a directory of its own and the secret and token of all.
    fn hub(&self) -> Result<HubProcess> {
        self.hub_in(tempfile::tempdir()?, "secret")
    }

    fn hub_in(&self, dir: TempDir, secret: &str) -> Result<HubProcess> {
        self.hub_with(dir, secret, &[])
    }

    fn hub_with(&self, dir: TempDir, secret: &str, more: &[&str]) -> Result<HubProcess> {
        let words: Vec<String> = self.words(secret).into_iter().chain(more.iter().map(ToString::to_string)).collect();
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        HubProcess::start_with(dir, &words, &self.variables())
    }

    fn words(&self, secret: &str) -> Vec<String> {
        let secret = self.dir.path().join(secret).display().to_string();
        let part = PART.to_string();
        let words = ["--visibility", "public", "--part-size", &part, "--objects", "s3://hub/models/a"];
        let more = ["--objects-endpoint", &self.moto.url, "--secret-file", &secret];
        words.into_iter().chain(more).map(str::to_owned).collect()
    }

    fn variables(&self) -> [(&str, &str); 3] {
        [
            ("GEN_WORKER_HUB_DATABASE", self.database.as_str()),
            ("AWS_ACCESS_KEY_ID", "testing"),
            ("AWS_SECRET_ACCESS_KEY", "testing-secret"),
        ]
    }

    /// A directory with these files.
    fn files(&self, name: &str, files: &[(&str, &[u8])]) -> Result<std::path::PathBuf> {
        let dir = self.dir.path().join(name);
        for (path, content) in files {
            let file = dir.join(path);
            fs::create_dir_all(file.parent().unwrap_or(Path::new("")))?;
            fs::write(file, content)?;
        }
        Ok(dir)
    }

    /// The keys of the objects that the database names and of those that are there.
    fn objects(&self) -> Result<(BTreeSet<String>, BTreeSet<String>)> {
        let sql = "SELECT key FROM hub.segments UNION SELECT key FROM hub.parts UNION SELECT key FROM hub.doomed
             UNION SELECT key FROM hub.retired";
        let named = self.postgres.sql("test0", sql)?.lines().map(str::to_owned).collect();
        let (status, list) = Api::new(&self.moto.url).get_bytes("/hub?list-type=2&prefix=models/a/blobs/")?;
        ensure!(status == 200, "a list: {status}");
        let list = String::from_utf8(list)?;
        let keys = list.split("<Key>").skip(1).filter_map(|rest| rest.split("</Key>").next());
        Ok((named, keys.filter_map(|key| key.strip_prefix("models/a/")).map(str::to_owned).collect()))
    }
}

/// Resolves and reads every file.
fn pulled(hub: &HubProcess, path: &str) -> Result<Vec<(String, Vec<u8>)>> {
    let resolved = Api::new(&hub.url).get(path)?;
    ensure!(resolved.status == 200, "{resolved:?}");
    let files = resolved.body.get("files").and_then(Value::as_array).context("files")?;
    let read = |file: &Value| {
        let text = |name: &str| file.get(name).and_then(Value::as_str).context("a text");
        let (status, bytes) = Api::new("").get_bytes(text("url")?)?;
        ensure!(status == 200, "status {status}");
        Ok((text("path")?.to_owned(), bytes))
    };
    files.iter().map(read).collect()
}

fn weights() -> Vec<u8> {
    (0..u32::try_from(PART).unwrap_or(0)).flat_map(u32::to_le_bytes).take(3 * PART + 1).collect()
}

fn kill(mut hub: HubProcess) -> Result<(TempDir, String)> {
    hub.process.signal(Signal::KILL)?;
    hub.process.wait()?;
    Ok((hub.dir, hub.process.log()))
}

const RESOLVE: &str = "/api/v1/repos/acme/paint/resolve";

#[test]
fn h6_12_a_hub_over_a_database_and_a_bucket_keeps_over_a_kill_what_it_said_it_has() -> Result<()> {
    let place = Place::new()?;
    let weights = weights();
    let dir = place.files("paint", &[("config.json", b"{}"), ("empty.txt", b""), ("unet/model.txt", &weights)])?;
    let expected = vec![
        ("config.json".to_owned(), b"{}".to_vec()),
        ("empty.txt".to_owned(), Vec::new()),
        ("unet/model.txt".to_owned(), weights),
    ];
    let hub = place.hub()?;
    hub.push(&dir, "acme/paint:v1")?;
    assert_eq!(pulled(&hub, RESOLVE)?, expected);
    let (place_of_it, log) = kill(hub)?;
    let mut hub = place.hub_in(place_of_it, "secret")?;
    assert_eq!(pulled(&hub, &format!("{RESOLVE}?tag=v1"))?, expected);
    hub.push(&dir, "acme/paint:v2")?;
    let (named, there) = place.objects()?;
    // Parts of 64 KiB of the weights, and one object of each of the others; none is there twice.
    assert_eq!(there.len(), 4 + 2);
    assert_eq!(named, there);
    let log = log + &hub.process.log();
    let secret = fs::read_to_string(place.dir.path().join("secret"))?;
    for hidden in [PASSWORD, "testing-secret", secret.trim()] {
        assert!(!log.contains(hidden), "{log}");
    }
    Ok(())
}

#[test]
fn h4_19_clients_that_alternate_between_two_hubs_see_one() -> Result<()> {
    let place = Place::new()?;
    let (one, two) = (place.hub()?, place.hub()?);
    let content = weights();
    let headers = |hub: &HubProcess| format!("Bearer {}", hub.token.reveal());
    let post = |hub: &HubProcess, path: &str, body: Value| -> Result<Value> {
        let call = ureq::post(format!("{}{path}", hub.url)).header("authorization", headers(hub));
        Ok(call.header("x-cozy-owner", "acme").send_json(body)?.body_mut().read_json()?)
    };
    let create = json!({"blake3": blake3::hash(&content).to_string(), "size_bytes": content.len(), "ref": "a.bin"});
    let created = post(&one, "/api/v1/media/acme/uploads", create.clone())?;
    let urls = created.get("part_urls").and_then(Value::as_array).context("addresses")?;
    let mut parts = Vec::new();
    for ((url, bytes), number) in urls.iter().zip(content.chunks(PART)).zip(1..) {
        // Signed by the one, given to either.
        let url = url.as_str().context("an address")?;
        let url = if number % 2 == 0 { url.to_owned() } else { url.replace(&one.url, &two.url) };
        let put = ureq::put(url).send(bytes)?;
        let etag = put.headers().get("etag").context("an etag")?.to_str()?.to_owned();
        parts.push(json!({"part_number": number, "etag": etag}));
    }
    let id = created.get("upload_id").and_then(Value::as_str).context("an id")?;
    let complete = format!("/api/v1/media/acme/uploads/{id}/complete");
    let done = post(&two, &complete, json!({"parts": parts}))?;
    assert_eq!(post(&one, &complete, json!({"parts": parts}))?, done, "it is complete for both");
    let known = post(&two, "/api/v1/media/acme/uploads", create)?;
    assert_eq!(known.get("dedup"), Some(&json!(true)), "{known}");
    let found = post(&one, "/api/v1/media/urls", json!({"refs": ["a.bin"]}))?;
    let url = found.pointer("/urls/a.bin/url").and_then(Value::as_str).context("an address")?;
    assert_eq!(Api::new("").get_bytes(&url.replace(&one.url, &two.url))?, (200, content));
    Ok(())
}

#[test]
fn h16_7_merges_through_two_hubs_of_which_one_is_killed_lose_nothing_that_was_said() -> Result<()> {
    const PUSHES: usize = 6;
    let place = Place::new()?;
    let (one, two) = (place.hub()?, place.hub()?);
    let mut pushes = Vec::new();
    for number in 0..PUSHES {
        let name = format!("{number}.txt");
        let dir =
            place.files(&format!("push{number}"), &[(&name, format!("file {number}").repeat(PART).as_bytes())])?;
        let hub = if number % 2 == 0 { &one } else { &two };
        let mut push = std::process::Command::new(built("gen-worker")?);
        push.args(["hub", "push", "--merge"]).arg(dir).arg("acme/paint");
        push.env("TENSORHUB_URL", &hub.url).env("TENSORHUB_TOKEN", hub.token.reveal());
        pushes.push((name, Process::start("push", &mut push)?));
    }
    // As soon as one was acknowledged one of the hubs goes, with whatever it is at.
    let (first, process) = pushes.first_mut().context("a push")?;
    let first = (first.clone(), process.wait()?.success());
    let (dir, _) = kill(one)?;
    let mut said: BTreeSet<String> = first.1.then_some(first.0).into_iter().collect();
    for (number, (name, process)) in pushes.iter_mut().enumerate().skip(1) {
        if number % 2 == 0 {
            // It would look for its hub for half an hour.
            process.signal(Signal::KILL)?;
        }
        if process.wait()?.success() {
            said.insert(name.clone());
        }
    }
    ensure!(said.len() >= PUSHES / 2, "those through the other hub go on: {said:?}");
    let again = place.hub_in(dir, "secret")?;
    for hub in [&two, &again] {
        let found = pulled(hub, RESOLVE)?;
        for (path, bytes) in &found {
            let number = path.trim_end_matches(".txt");
            ensure!(*bytes == format!("file {number}").repeat(PART).as_bytes(), "{path} is another");
        }
        let found: BTreeSet<String> = found.into_iter().map(|(path, _)| path).collect();
        ensure!(said.is_subset(&found), "{said:?} was said, {found:?} is there");
    }
    let (named, there) = place.objects()?;
    // What the killed one had written and not recorded is young, and stays for a while.
    ensure!(named.is_subset(&there), "gone: {:?}", named.difference(&there).collect::<Vec<_>>());
    Ok(())
}

#[test]
fn a_hub_with_another_secret_or_database_keeps_away_from_the_objects() -> Result<()> {
    let place = Place::new()?;
    let _hub = place.hub()?;
    let other = place.postgres.database()?;
    let mut words = place.words("secret");
    let stores = |words: &[String], database: &str| {
        let dir = tempfile::tempdir()?;
        let mut command = std::process::Command::new(built("gen-worker")?);
        command.args(["hub", "--listen", "127.0.0.1:0"]).args(words).arg("--dir").arg(dir.path());
        command.envs(place.variables()).env("GEN_WORKER_HUB_DATABASE", database);
        Process::output(&mut command)
    };
    let ended = stores(&words, &other)?;
    assert_eq!(ended.code, Some(1), "{}", ended.stderr);
    assert!(ended.stderr.contains("the objects belong to another hub"), "{}", ended.stderr);
    *words.last_mut().context("a word")? = place.dir.path().join("other").display().to_string();
    let ended = stores(&words, &place.database)?;
    assert_eq!(ended.code, Some(1), "{}", ended.stderr);
    assert!(ended.stderr.contains("the objects belong to another hub"), "{}", ended.stderr);
    let nowhere = format!("postgres://me:{PASSWORD}@localhost:1/none");
    let ended = stores(&words, &nowhere)?;
    assert_eq!(ended.code, Some(1), "{}", ended.stderr);
    assert!(ended.stderr.contains("database") && !ended.stderr.contains(PASSWORD), "{}", ended.stderr);
    Ok(())
}
