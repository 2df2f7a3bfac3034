//! The process of a hub that is killed while real clients upload, commit, resolve and download, and while it collects what
//! nothing names: whatever it acknowledged is there, whatever it did not is whole or not there, and nothing else is left.

mod clients;
mod ledger;

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

use anyhow::{Context, Result, ensure};
use gen_worker_tests::{HubProcess, Proxy, eventually};
use rusqlite::{Connection, OpenFlags};
use serde_json::{Value, json};

use super::{content, hash};
use clients::Clients;
use ledger::{Ledger, Tree};

/// A checkpoint that is there before the first kill.
const PULLED: &str = "acme/pulled";

/// Acknowledgements to each client after which the hub is killed, round by round.
const ROUNDS: [usize; 4] = [1, 3, 2, 5];

/// A hub that collects without a pause what has had no name for a second, behind `door`.
fn words(door: &str) -> [&str; 8] {
    ["--public-url", door, "--part-size", "65536", "--tidy-interval", "0.02", "--unused-grace", "0"]
}

/// One look at a hub, past the door.
struct Look<'a> {
    hub: &'a HubProcess,
}

impl Look<'_> {
    fn call(&self, path: &str, body: Option<Value>) -> Result<(u16, Vec<u8>)> {
        let (url, token) =
            (format!("http://{}{path}", self.hub.address), format!("Bearer {}", self.hub.token.reveal()));
        let agent: ureq::Agent = ureq::Agent::config_builder().http_status_as_error(false).build().into();
        let mut reply = match body {
            Some(body) => {
                agent.post(url).header("authorization", token).header("x-cozy-owner", "acme").send_json(body)?
            }
            None => agent.get(url).header("authorization", token).call()?,
        };
        let status = reply.status().as_u16();
        Ok((status, reply.body_mut().with_config().limit(1 << 24).read_to_vec()?))
    }

    /// Whether a content is there, with the right bytes.
    fn has(&self, blake3: &str) -> Result<bool> {
        let (status, bytes) = self.call(&format!("/api/v1/blobs/blake3:{blake3}/content"), None)?;
        ensure!(status == 404 || status == 200, "status {status} for {blake3}");
        ensure!(status == 404 || hash(&bytes) == blake3, "{blake3} has other bytes");
        Ok(status == 200)
    }

    /// What the refs of the tenant stand for.
    fn media(&self, refs: &[&String]) -> Result<BTreeMap<String, String>> {
        let (status, reply) = self.call("/api/v1/media/urls", Some(json!({"refs": refs})))?;
        ensure!(status == 200, "status {status}");
        let reply: Value = serde_json::from_slice(&reply)?;
        let urls = reply["urls"].as_object().context("addresses")?;
        let content = |url: &Value| Some(url["url"].as_str()?.split("/files/").nth(1)?.get(..64)?.to_owned());
        Ok(urls.iter().filter_map(|(name, url)| Some((name.clone(), content(url)?))).collect())
    }

    /// The files of a checkpoint; none when it is not there.
    fn tree(&self, repo: &str, query: &str) -> Result<Option<Tree>> {
        let (status, reply) = self.call(&format!("/api/v1/repos/{repo}/resolve{query}"), None)?;
        ensure!(status == 404 || status == 200, "status {status} for {repo}{query}");
        let reply: Value = serde_json::from_slice(&reply)?;
        let text = |value: &Value| value.as_str().unwrap_or_default().trim_start_matches("blake3:").to_owned();
        let files = reply["files"]
            .as_array()
            .map(|files| files.iter().map(|file| (text(&file["path"]), text(&file["blake3"]))).collect::<Tree>());
        Ok(files)
    }
}

/// Whatever was acknowledged is there; whatever was begun is whole or not there.
fn check(look: &Look<'_>, ledger: &Ledger) -> Result<()> {
    ensure!(ledger.wrong.is_empty(), "{:?}", ledger.wrong);
    let mut named: BTreeSet<String> = ledger.blobs.clone();
    let found = look.media(&ledger.refs.keys().collect::<Vec<_>>())?;
    for (reference, state) in &ledger.refs {
        match found.get(reference) {
            Some(content) => ensure!(state.maybe.contains(content), "{reference} stands for another content"),
            None => ensure!(!state.is_acknowledged, "{reference} is gone"),
        }
    }
    named.extend(found.into_values());
    for (repo, state) in &ledger.repos {
        match look.tree(repo, "")? {
            Some(tree) => {
                ensure!(state.maybe.contains(&tree), "{repo} has a tree that nobody made: {tree:?}");
                named.extend(tree.into_values());
            }
            None => ensure!(!state.is_acknowledged, "{repo} is gone"),
        }
    }
    for (repo, digest, files) in &ledger.checkpoints {
        let tree = look.tree(repo, &format!("?digest={digest}"))?;
        ensure!(tree.as_ref() == Some(files), "{repo}@{digest} is {tree:?}");
        named.extend(files.values().cloned());
    }
    for blake3 in &named {
        ensure!(look.has(blake3)?, "{blake3} is gone");
    }
    Ok(())
}

/// The objects are those that are named, each with its size, no more and no fewer.
fn check_objects(dir: &Path) -> Result<()> {
    let store = Connection::open_with_flags(dir.join("hub.sqlite"), OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    let mut list = store.prepare("SELECT key, size FROM segments UNION SELECT key, size FROM parts")?;
    let named =
        list.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?.collect::<Result<BTreeMap<String, i64>, _>>()?;
    let mut list = store.prepare("SELECT key FROM doomed")?;
    let doomed = list.query_map([], |row| row.get(0))?.collect::<Result<BTreeSet<String>, _>>()?;
    let mut there = BTreeMap::new();
    for folder in fs::read_dir(dir.join("objects/blobs")).into_iter().flatten() {
        let folder = folder?;
        for file in fs::read_dir(folder.path())? {
            let file = file?;
            let key = format!("blobs/{}/{}", folder.file_name().display(), file.file_name().display());
            there.insert(key, i64::try_from(file.metadata()?.len())?);
        }
    }
    there.retain(|key, _| !doomed.contains(key));
    let missing: Vec<_> = named.iter().filter(|(key, size)| there.get(*key) != Some(*size)).collect();
    let left: Vec<_> = there.keys().filter(|key| !named.contains_key(*key)).collect();
    ensure!(missing.is_empty() && left.is_empty(), "missing or short: {missing:?}, left behind: {left:?}");
    let dangling: i64 = store.query_row(
        "SELECT (SELECT count(*) FROM files WHERE blake3 NOT IN (SELECT blake3 FROM segments) AND size > 0)
             + (SELECT count(*) FROM media WHERE blake3 NOT IN (SELECT blake3 FROM blobs))
             + (SELECT count(*) FROM flavors AS f WHERE NOT EXISTS
                (SELECT 1 FROM checkpoints AS c WHERE c.repo = f.repo AND c.digest = f.digest))",
        [],
        |row| row.get(0),
    )?;
    ensure!(dangling == 0, "{dangling} rows name what is not there");
    Ok(())
}

/// A content that loses its last name is gone soon.
fn check_collects(hub: &HubProcess) -> Result<()> {
    let look = Look { hub };
    let put = |bytes: &[u8]| {
        let url = format!("http://{}/api/v1/file/collected", hub.address);
        let call = ureq::put(url).header("authorization", format!("Bearer {}", hub.token.reveal()));
        call.header("x-cozy-owner", "acme").send(bytes).map(drop)
    };
    put(b"first")?;
    ensure!(look.has(&hash(b"first"))?, "it is there");
    put(b"second")?;
    eventually("the collection", || look.has(&hash(b"first")).is_ok_and(|is_there| !is_there).then_some(()))?;
    ensure!(look.has(&hash(b"second"))?, "it stays");
    Ok(())
}

#[test]
fn h5_4_a_hub_process_that_is_killed_again_and_again_keeps_what_it_acknowledged() -> Result<()> {
    let door = Proxy::closed()?;
    let url = format!("http://{}", door.address());
    let mut hub = HubProcess::start(&words(&url))?;
    door.aim(Some(hub.address));
    let tree = tempfile::tempdir()?;
    fs::write(tree.path().join("weights.bin"), content(300_000, 9))?;
    hub.push(tree.path(), PULLED)?;
    let clients = Clients::start(&url, hub.token.reveal())?;
    for more in ROUNDS {
        door.aim(Some(hub.address));
        clients.proceed(more)?;
        // From here on who connects waits; what is under way is cut off.
        door.aim(None);
        let dir = hub.kill()?;
        door.cut();
        // Killed once more while it takes up what the last one left.
        let dir = HubProcess::start_in(dir, &words(&url))?.kill()?;
        let again = HubProcess::start_in(dir, &words(&url))?;
        let look = Look { hub: &again };
        // A line that a client wrote before may still be on its way.
        let mut last = Ok(());
        let checked = eventually("what was acknowledged", || {
            last = check(&look, &clients.ledger());
            last.is_ok().then_some(())
        });
        last.and(checked)?;
        let dir = again.kill()?;
        check_objects(&dir.path().join("hub"))?;
        hub = HubProcess::start_in(dir, &words(&url))?;
    }
    drop(clients);
    check_collects(&hub)
}
