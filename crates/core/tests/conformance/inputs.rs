//! Files that payloads name by an address: from a real server to handlers in the worker and in processes of their own. The
//! clock runs, since nobody can pause a server.

use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use gen_worker_core::{
    Asset, Registry, RegistryBuilder, RequestContext, SlotOptions, WorkerError, endpoint::Isolation, io_type::Payload,
    slot::InMemorySlots,
};
use gen_worker_proto::pb::{self, JobResult, JobStatus, job_result::Output, scheduler_message::Msg as Outbound};
use gen_worker_store::AddressRule;
use gen_worker_tasks::Scope;
use parking_lot::Mutex;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    sync::Notify,
};

use crate::{
    fixture::Fixture,
    functions::{Probe, Text},
    orchestrator::Session,
};

/// SHA-256 of nothing.
const SHA256: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

const CONTENT: &[u8] = b"a file";

/// What a picture of 37 by 21 pixels begins with.
const PICTURE: &[u8] = b"\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR\0\0\0\x25\0\0\0\x15";

#[derive(Deserialize, JsonSchema)]
struct Files {
    files: Vec<Asset>,
    #[serde(default)]
    more: Option<Asset>,
}

impl Payload for Files {}

/// Where the files were, and what is in them.
fn read(input: &Files) -> Result<Text, WorkerError> {
    let mut told = Vec::new();
    for file in input.files.iter().chain(&input.more) {
        let path = file.path()?;
        let content =
            std::fs::read_to_string(path).map_err(|error| WorkerError::fatal("Unreadable", error.to_string()))?;
        let (size, kind) = (file.size_bytes.unwrap_or_default(), file.mime_type.clone().unwrap_or_default());
        told.push(format!("{}|{content}|{size}|{kind}", path.display()));
    }
    Ok(Text { text: told.join("\n") })
}

fn functions() -> RegistryBuilder {
    Registry::builder()
        .asynchronous("read", |_: RequestContext, input: Files| async move { read(&input) })
        .blocking("read_blocking", |_: RequestContext, input: Files| read(&input))
        .asynchronous("slot_read", |_: RequestContext, input: Files| async move { read(&input) })
        .isolation(Isolation::Process)
}

/// Gives its file by several names, and counts who asks.
struct Server {
    base: String,
    asked: Arc<Mutex<Vec<String>>>,
    held: Arc<Notify>,
    _scope: Scope,
}

impl Server {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let base = format!("http://{}", listener.local_addr().expect("an address"));
        let (scope, asked, held) =
            (Scope::new("server"), Arc::<Mutex<Vec<String>>>::default(), Arc::<Notify>::default());
        let (cancel, seen, hold) = (scope.cancel().clone(), asked.clone(), held.clone());
        scope.spawn("accept", async move {
            let connections = Scope::under("connections", &cancel);
            while let Ok((socket, _)) = listener.accept().await {
                let (seen, hold) = (seen.clone(), hold.clone());
                connections.spawn("connection", async move { drop(answer(socket, &seen, &hold).await) });
            }
        });
        Self { base, asked, held, _scope: scope }
    }

    fn file(&self, name: &str) -> Value {
        json!({"ref": format!("{}/{name}", self.base)})
    }

    fn asked(&self) -> Vec<String> {
        self.asked.lock().clone()
    }

    async fn is_asked(&self, count: usize) {
        while self.asked.lock().len() < count {
            tokio::task::yield_now().await;
        }
    }
}

async fn answer(mut socket: TcpStream, asked: &Mutex<Vec<String>>, held: &Notify) -> io::Result<()> {
    let mut head = Vec::new();
    while !head.windows(4).any(|window| window == b"\r\n\r\n") {
        if socket.read_buf(&mut head).await? == 0 {
            return Ok(());
        }
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    let path = head.split(' ').nth(1).unwrap_or_default().to_owned();
    asked.lock().push(path.clone());
    let status = match path.as_str() {
        "/gone" => 404,
        "/busy" => 503,
        "/held" => {
            held.notified().await;
            200
        }
        _ => 200,
    };
    let body = match status {
        200 if path == "/picture" => PICTURE,
        200 => CONTENT,
        _ => b"",
    };
    let head = format!(
        "HTTP/1.1 {status} S\r\nConnection: close\r\nContent-Type: text/plain\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    socket.write_all(head.as_bytes()).await?;
    socket.write_all(body).await
}

/// A worker with a place for jobs.
struct Stage {
    fixture: Fixture,
    session: Session,
    dir: TempDir,
}

impl Stage {
    async fn start(addresses: AddressRule) -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let slots = SlotOptions::new(Arc::new(InMemorySlots::new(|| functions().build().expect("sound"))));
        let mut fixture = Fixture::serving(functions(), Probe::default(), |options| {
            options.inputs.fetch.addresses = addresses;
            options.inputs.file_bytes_max = 1_000;
            options.scratch = Some(dir.path().join("jobs"));
            options.slots = Some(slots);
        });
        let session = fixture.session().await;
        Self { fixture, session, dir }
    }

    async fn run(&mut self, id: &str, function: &str, payload: &Value) -> JobResult {
        self.session.run(id, 1, function, &packed(payload)).await;
        self.session.result().await
    }

    /// What the handler saw.
    async fn read(&mut self, id: &str, function: &str, payload: &Value) -> String {
        let result = self.run(id, function, payload).await;
        assert_eq!(result.status(), JobStatus::Ok, "{}", result.safe_message);
        let Some(Output::Inline(output)) = result.output else { panic!("an output") };
        rmp_serde::from_slice::<Text>(&output).expect("an output").text
    }

    async fn refused(&mut self, id: &str, payload: &Value) -> (JobStatus, String) {
        let result = self.run(id, "read", payload).await;
        (result.status(), result.safe_message)
    }

    /// Directories of jobs that are there.
    fn jobs(&self) -> Vec<PathBuf> {
        let below =
            |dir: &Path| std::fs::read_dir(dir).map(|entries| entries.flatten().map(|entry| entry.path()).collect());
        let processes: Vec<PathBuf> = below(&self.dir.path().join("jobs")).unwrap_or_default();
        processes.iter().flat_map(|process| below(process).unwrap_or_default()).collect()
    }

    async fn is_clean(&self) {
        while !self.jobs().is_empty() {
            tokio::task::yield_now().await;
        }
    }
}

fn packed(payload: &Value) -> Vec<u8> {
    rmp_serde::to_vec_named(payload).expect("encodes")
}

#[tokio::test]
async fn h14_1_h14_3_a_handler_finds_the_files_of_its_payload_on_disk_and_they_go_with_the_job() {
    let (server, mut stage) = (Server::start().await, Stage::start(AddressRule::Any).await);
    for (at, function) in ["read", "read-blocking", "slot-read"].into_iter().enumerate() {
        let more = json!({"ref": format!("{}/b.txt", server.base), "mime_type": "text/markdown"});
        let payload = json!({"files": [server.file("a.txt"), server.file("c")], "more": more});
        let told = stage.read(&format!("r{at}"), function, &payload).await;
        let lines: Vec<Vec<&str>> = told.lines().map(|line| line.split('|').collect()).collect();
        assert_eq!(lines.len(), 3, "{function}: {told}");
        for (line, (name, kind)) in lines.iter().zip([
            ("input-0.txt", "text/plain"),
            ("input-1", "text/plain"),
            ("input-2.txt", "text/markdown"),
        ]) {
            assert_eq!(line[1..], ["a file", "6", kind], "{function}");
            let path = Path::new(line[0]);
            assert!(path.ends_with(name) && path.starts_with(stage.dir.path()), "{function}: {}", path.display());
        }
        stage.is_clean().await;
    }
    assert_eq!(server.asked().len(), 9);
    stage.fixture.cancel.kill();
    drop(stage.fixture.ended().await);
}

#[tokio::test]
async fn e120_a_place_on_this_machine_that_a_client_names_is_never_read() {
    let (server, mut stage) = (Server::start().await, Stage::start(AddressRule::Any).await);
    let secret = stage.dir.path().join("secret");
    std::fs::write(&secret, "a secret").expect("a file");
    let fetched = json!({"ref": format!("{}/a", server.base), "local_path": secret});
    let told = stage.read("r1", "read", &json!({"files": [fetched]})).await;
    assert!(told.contains("|a file|"), "{told}");
    let (status, message) = stage.refused("r2", &json!({"files": [{"ref": "own/ref", "local_path": secret}]})).await;
    assert_eq!(status, JobStatus::Invalid, "{message}");
    assert!(message.contains("is not on this machine"), "{message}");
}

#[tokio::test]
async fn e120_h14_1_h14_2_what_may_not_or_cannot_be_had_ends_the_job_before_its_handler() {
    let (server, mut stage) = (Server::start().await, Stage::start(AddressRule::Any).await);
    let with = |name: &str, words: Value| {
        let mut file = server.file(name);
        file.as_object_mut().expect("an object").extend(words.as_object().expect("an object").clone());
        json!({"files": [server.file("fine"), file]})
    };
    let cases = [
        ("gone", with("gone", json!({})), JobStatus::Invalid, "status 404"),
        ("busy", with("busy", json!({})), JobStatus::Retryable, "status 503"),
        ("large", with("a", json!({"url_max_bytes": 5})), JobStatus::Invalid, "more than 5 bytes"),
        ("kind", with("a", json!({"url_allowed_mime_types": ["image/*"]})), JobStatus::Invalid, "text/plain"),
        ("wide", with("picture", json!({"url_max_width": 36})), JobStatus::Invalid, "width of the picture is 37"),
        ("high", with("picture", json!({"url_max_height": 20})), JobStatus::Invalid, "height of the picture is 21"),
        ("pixels", with("picture", json!({"url_max_pixels": 776})), JobStatus::Invalid, "pixels of the picture is 777"),
        ("none", with("a", json!({"url_max_width": 99})), JobStatus::Invalid, "no whole picture"),
        ("sha256", with("a", json!({"sha256": SHA256})), JobStatus::Invalid, "its sha256 is another"),
        ("blake3", with("a", json!({"blake3": "0".repeat(64)})), JobStatus::Invalid, "its blake3 is another"),
        ("hash", with("a", json!({"sha256": "short"})), JobStatus::Invalid, "sha256 is no hash"),
        ("many", json!({"files": vec![server.file("a"); 257]}), JobStatus::Invalid, "more than 256 files"),
    ];
    for (id, payload, status, words) in cases {
        let (got, message) = stage.refused(id, &payload).await;
        assert_eq!(got, status, "{id}: {message}");
        assert!(message.contains(words), "{id}: {message}");
        assert!(id == "many" || message.contains("$.files[1]"), "{id}: {message}");
        assert!(!message.contains("127.0.0.1"), "{id}: {message}");
        stage.is_clean().await;
    }
}

#[tokio::test]
async fn h14_1_hosts_of_private_networks_are_not_asked_but_for_the_storage_of_the_pool() {
    let (server, own) = (Server::start().await, Server::start().await);
    let mut stage = Stage::start(AddressRule::Public).await;
    let ack = pb::HelloAck { protocol_version: 2, file_base_url: own.base.clone(), ..Default::default() };
    stage.session.send(Outbound::HelloAck(ack)).await;
    let (status, message) = stage.refused("r1", &json!({"files": [own.file("a"), server.file("a")]})).await;
    assert_eq!(status, JobStatus::Invalid, "{message}");
    assert!(message.contains("is not a public host"), "{message}");
    assert!(server.asked().is_empty());
    let told = stage.read("r2", "read", &json!({"files": [own.file("a")]})).await;
    assert!(told.contains("|a file|"), "{told}");
}

#[tokio::test]
async fn w16_h14_3_a_job_that_ends_while_its_files_come_leaves_none() {
    let (server, mut stage) = (Server::start().await, Stage::start(AddressRule::Any).await);
    let payload = json!({"files": [server.file("a"), server.file("held")]});
    stage.session.run("r1", 1, "read", &packed(&payload)).await;
    server.is_asked(2).await;
    stage.session.cancel("r1", 1).await;
    assert_eq!(stage.session.result().await.status(), JobStatus::Canceled);
    stage.is_clean().await;
    // A newer attempt takes the place of an older one.
    stage.session.run("r2", 1, "read", &packed(&payload)).await;
    server.is_asked(4).await;
    stage.session.run("r2", 2, "read", &packed(&json!({"files": [server.file("a")]}))).await;
    let result = stage.session.result().await;
    assert_eq!((result.attempt, result.status()), (2, JobStatus::Ok), "{}", result.safe_message);
    stage.is_clean().await;
    server.held.notify_one();
}

#[tokio::test]
async fn c20_a_job_whose_files_come_leaves_the_accelerator_to_others() {
    let (server, mut stage) = (Server::start().await, Stage::start(AddressRule::Any).await);
    let job = |id: &str, name: &str| pb::RunJob {
        request_id: id.into(),
        attempt: 1,
        function_name: "read".into(),
        input_payload: packed(&json!({"files": [server.file(name)]})).into(),
        compute: Some(pb::ResolvedCompute { accelerator: "cuda".into(), ..Default::default() }),
        ..Default::default()
    };
    stage.session.run_job(job("slow", "held")).await;
    server.is_asked(1).await;
    stage.session.run_job(job("quick", "a")).await;
    for id in ["quick", "slow"] {
        let result = stage.session.result().await;
        assert_eq!((result.request_id.as_str(), result.status()), (id, JobStatus::Ok), "{}", result.safe_message);
        server.held.notify_one();
    }
}
