//! A hub that is killed while clients upload, commit and give up, and while it collects what nobody names: whatever it has
//! acknowledged is whole, whatever it has not is either whole or not there, and nothing else is left.

use std::{
    cell::{Cell, RefCell},
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use anyhow::{Context as _, Result, ensure};
use futures::future::join_all;
use gen_worker_hub::{
    Blake3Hash, Digest, HubRef,
    api::{CommitMode, FileSource, Resolved, UploadSource, UploadStart},
    client::{HubClient, HubClientOptions, UploadTarget},
    model_ref::RepoName,
    token::{Area, ByteLimits, Grant, Right},
};
use gen_worker_hubd::clock::Clock;
use tokio::sync::Notify;

use crate::{
    child::{Served, says},
    server::{PART, Server, adding, announced, bring, content, http, put_parts, signed},
};

/// Tells a child that it is one, and what time it is.
const ORDER: &str = "serve-here";

/// Clients at once.
const CLIENTS: usize = 16;

/// Acknowledgements after which the hub is killed, round by round: early, in full flow, and late.
const ROUNDS: [usize; 3] = [9, 48, 25];

/// From one round to the next: what was given up in one is collected in the next.
const ROUND_S: u64 = 50 * 60 * 60;

/// How far the time of a child goes between two of its rounds of tidying.
const TICK_S: u64 = 10;

/// Turns of the other tasks of a child between two of its rounds of tidying.
const TURNS: usize = 50;

/// Not a test by itself: the others run it in processes of their own, which have an order.
#[tokio::test]
async fn a_child_serves_until_it_is_killed() -> Result<()> {
    let Ok(order) = std::fs::read_to_string(ORDER) else { return Ok(()) };
    says("begins");
    let clock = Clock::standing(order.parse()?);
    let server = Server::start_with(Path::new("."), |options| options.clock = clock.clone()).await?;
    says(&server.url);
    loop {
        // It collects all the time, but leaves room for its clients.
        for _ in 0..TURNS {
            tokio::task::yield_now().await;
        }
        clock.advance(TICK_S);
        server.hub.tidy().await?;
    }
}

/// A child over `directory`, at this time.
fn start(directory: &Path, now_s: u64) -> Result<Served> {
    std::fs::write(directory.join(ORDER), now_s.to_string())?;
    Served::start("kill::a_child_serves_until_it_is_killed", directory)
}

/// What one client did, and what of it the hub acknowledged.
#[derive(Default)]
struct Done {
    /// The content that was acknowledged last for the ref of this client, and those that were sent since.
    saved: Vec<Blake3Hash>,
    /// Whether one was acknowledged.
    has_saved: bool,
    /// The same for the files of its repository.
    committed: Vec<BTreeMap<String, Blake3Hash>>,
    /// All checkpoints that were acknowledged, with their files.
    checkpoints: Vec<(Digest, BTreeMap<String, Blake3Hash>)>,
}

/// Counts acknowledgements.
struct Acknowledged {
    count: Cell<usize>,
    until: usize,
    enough: Notify,
}

impl Acknowledged {
    fn one(&self) {
        self.count.set(self.count.get() + 1);
        if self.count.get() == self.until {
            self.enough.notify_one();
        }
    }
}

fn grants() -> Result<Vec<Grant>> {
    Ok(vec![Grant::new(Area::Repo, Right::Write, "acme", "*")?, Grant::new(Area::Media, Right::Write, "acme", "*")?])
}

fn client(url: &str, now_s: u64) -> Result<HubClient> {
    let token = Some(signed("acme", grants()?, ByteLimits::default(), now_s, 2 * ROUND_S)?);
    Ok(HubClient::new(HubClientOptions { base_url: url.to_owned(), token, ..HubClientOptions::default() })?)
}

/// Uploads, commits and gives up until the hub is gone.
async fn work(number: usize, round: usize, client: &HubClient, done: &RefCell<Done>, acknowledged: &Acknowledged) {
    let http = http().expect("a client");
    for turn in 0.. {
        let seed = format!("{round} {number} {turn} ");
        // What expires on the way, or is cut off, was not acknowledged.
        if save(number, &seed, &http, client, done).await.is_ok() {
            acknowledged.one();
        }
        if commit(number, &seed, &http, client, done).await.is_ok() {
            acknowledged.one();
        }
        drop(give_up(&seed, &http, client).await);
        tokio::task::yield_now().await;
    }
}

fn bytes(seed: &str, name: &str) -> Vec<u8> {
    [seed.as_bytes(), name.as_bytes(), &content(3 * PART, 1)].concat()
}

fn target() -> UploadTarget {
    UploadTarget::Media { owner: "acme".to_owned() }
}

async fn save(
    number: usize,
    seed: &str,
    http: &reqwest::Client,
    client: &HubClient,
    done: &RefCell<Done>,
) -> Result<()> {
    let bytes = bytes(seed, "media");
    let (create, local) = announced(&format!("ref-{number}"), &bytes)?;
    let started = client.create_upload(&target(), &create, &local).await?;
    let UploadStart::Transfer { upload_id, source: UploadSource::Parts(urls) } = started else { return Ok(()) };
    let request = put_parts(http, &urls, &bytes).await?;
    done.borrow_mut().saved.push(Blake3Hash::of(&bytes));
    client.complete_upload(&target(), &upload_id, &request, &local).await?;
    let mut done = done.borrow_mut();
    (done.saved, done.has_saved) = (vec![Blake3Hash::of(&bytes)], true);
    Ok(())
}

async fn commit(
    number: usize,
    seed: &str,
    http: &reqwest::Client,
    client: &HubClient,
    done: &RefCell<Done>,
) -> Result<()> {
    let name: RepoName = format!("acme/model-{number}").parse()?;
    let (one, two) = (bytes(seed, "one"), bytes(seed, "two"));
    let files = [("one", &one[..]), ("two", &two)];
    let created = client.create_commit(&name, &adding(CommitMode::Replace, &files)?).await?;
    bring(http, client, &name, &created, &[&one, &two]).await?;
    let files: BTreeMap<_, _> = files.iter().map(|(path, bytes)| ((*path).to_owned(), Blake3Hash::of(bytes))).collect();
    done.borrow_mut().committed.push(files.clone());
    let finalized = client.finalize_commit(&name, &created.revision_id).await?;
    let mut done = done.borrow_mut();
    done.committed = vec![files.clone()];
    done.checkpoints.push((finalized.checkpoint_id, files));
    Ok(())
}

/// Sends one part of an upload and forgets it.
async fn give_up(seed: &str, http: &reqwest::Client, client: &HubClient) -> Result<()> {
    let bytes = bytes(seed, "lost");
    let (create, local) = announced(&format!("lost/{}", Blake3Hash::of(&bytes)), &bytes)?;
    let started = client.create_upload(&target(), &create, &local).await?;
    let UploadStart::Transfer { source: UploadSource::Parts(urls), .. } = started else { return Ok(()) };
    let (_, url) = urls.parts().next().context("a part")?;
    http.put(url.reveal()).body(bytes.get(..PART).context("a part")?.to_vec()).send().await?;
    Ok(())
}

#[tokio::test]
async fn h5_4_a_hub_that_is_killed_while_16_clients_upload_keeps_what_it_acknowledged() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let mut done: Vec<RefCell<Done>> = (0..CLIENTS).map(|_| RefCell::default()).collect();
    let mut now_s = 1_000_000;
    for (round, until) in ROUNDS.into_iter().enumerate() {
        // Killed while it takes up what the last one left, and collects it.
        let mut begun = start(directory.path(), now_s)?;
        begun.says().await?;
        begun.child.kill().await?;
        let mut served = start(directory.path(), now_s)?;
        served.says().await?;
        let client = client(&served.says().await?, now_s)?;
        let acknowledged = Acknowledged { count: Cell::new(0), until, enough: Notify::new() };
        let workers = done.iter().enumerate().map(|(number, done)| work(number, round, &client, done, &acknowledged));
        tokio::select! {
            _ = join_all(workers) => {}
            () = acknowledged.enough.notified() => {}
        }
        served.child.kill().await?;
        now_s += ROUND_S;
        check(directory.path(), now_s, &mut done).await?;
    }
    Ok(())
}

/// Starts a hub over what was left, and looks at everything.
async fn check(directory: &Path, now_s: u64, done: &mut [RefCell<Done>]) -> Result<()> {
    let server = Server::start_with(directory, |options| options.clock = Clock::standing(now_s)).await?;
    let client = client(&server.url, now_s)?;
    for (number, done) in done.iter_mut().enumerate() {
        let done = done.get_mut();
        check_media(&server, number, done).await?;
        let latest = client.resolve(&HubRef::parse(&format!("acme/model-{number}"))?).await;
        match latest {
            Ok(latest) => ensure!(done.committed.contains(&files(&server, &latest).await?), "half a tree"),
            Err(error) => ensure!(done.checkpoints.is_empty(), "a checkpoint is gone: {error}"),
        }
        for (digest, expected) in &done.checkpoints {
            let found = client.resolve(&HubRef::parse(&format!("acme/model-{number}@{digest}"))?).await?;
            ensure!(files(&server, &found).await? == *expected, "another tree");
        }
    }
    server.stop().await;
    check_objects(directory)
}

/// The files of a tree by what their bytes are.
async fn files(server: &Server, resolved: &Resolved) -> Result<BTreeMap<String, Blake3Hash>> {
    let mut files = BTreeMap::new();
    for file in &resolved.files {
        let FileSource::Url(url) = &file.source else { anyhow::bail!("an address") };
        let bytes = server.http.get(url.reveal()).send().await?.error_for_status()?.bytes().await?;
        files.insert(file.path.to_string(), Blake3Hash::of(&bytes));
    }
    Ok(files)
}

async fn check_media(server: &Server, number: usize, done: &Done) -> Result<()> {
    let call = server.http.post(format!("{}/api/v1/media/urls", server.url)).header("x-cozy-owner", "acme");
    let call = call.bearer_auth(server.operator().reveal());
    let reply = call.body(serde_json::json!({"refs": [format!("ref-{number}")]}).to_string()).send().await?;
    let reply: serde_json::Value = serde_json::from_slice(&reply.error_for_status()?.bytes().await?)?;
    match reply["urls"][format!("ref-{number}")]["url"].as_str() {
        Some(url) => {
            let bytes = server.http.get(url).send().await?.error_for_status()?.bytes().await?;
            ensure!(done.saved.contains(&Blake3Hash::of(&bytes)), "another content");
        }
        None => ensure!(!done.has_saved, "a ref is gone"),
    }
    Ok(())
}

/// The objects are those that are named, no more and no fewer.
fn check_objects(directory: &Path) -> Result<()> {
    let store = rusqlite::Connection::open(directory.join("hub.db"))?;
    let mut named = store.prepare("SELECT key FROM segments UNION SELECT key FROM parts")?;
    let named: BTreeSet<String> = named.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?;
    let mut there = BTreeSet::new();
    for folder in std::fs::read_dir(directory.join("objects/blobs")).into_iter().flatten() {
        let folder = folder?;
        for file in std::fs::read_dir(folder.path())? {
            let (folder, file) = (folder.file_name(), file?.file_name());
            there.insert(format!("blobs/{}/{}", folder.to_string_lossy(), file.to_string_lossy()));
        }
    }
    ensure!(named == there, "objects: {:?}", named.symmetric_difference(&there).collect::<Vec<_>>());
    Ok(())
}
