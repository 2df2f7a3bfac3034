//! A worker process on its own: TLS to the orchestrator, and the end that a stuck handler forces.

use std::{collections::BTreeMap, fs, net::SocketAddr, process::Command, sync::Arc};

use anyhow::{Context, Result, ensure};
use gen_worker_proto::pb::{
    self, SchedulerMessage, WorkerMessage,
    job_result::Output,
    scheduler_message::Msg as Outbound,
    worker_message::Msg,
    worker_scheduler_server::{WorkerScheduler, WorkerSchedulerServer},
};
use gen_worker_tasks::Scope;
use gen_worker_tests::{Jobs, OwnWorker, Pool, PoolOptions, Process, Scripted, ScriptedSession, built, workspace};
use serde_json::json;
use tokio::{
    net::TcpListener,
    sync::{mpsc, oneshot},
};
use tokio_stream::wrappers::{ReceiverStream, TcpListenerStream};
use tonic::{
    Request, Response, Status, Streaming,
    transport::{Identity, Server, ServerTlsConfig},
};

/// Most allocations of a job that needs nothing but its answer, in any build: the bench says what they are in the fast one. More of them
/// once made workers half as fast, unnoticed.
const ALLOCATIONS_MAX: u64 = 20;

/// An orchestrator that runs `echo` once and hands over the result.
struct Once {
    scope: Arc<Scope>,
    ended: parking_lot::Mutex<Option<oneshot::Sender<pb::JobResult>>>,
}

#[tonic::async_trait]
impl WorkerScheduler for Once {
    type ConnectStream = ReceiverStream<Result<SchedulerMessage, Status>>;

    async fn connect(
        &self,
        request: Request<Streaming<WorkerMessage>>,
    ) -> Result<Response<Self::ConnectStream>, Status> {
        let (sender, outbound) = mpsc::channel(8);
        let ended = self.ended.lock().take();
        self.scope.spawn("once", async move {
            if let (Ok(result), Some(ended)) = (once(request.into_inner(), &sender).await, ended) {
                drop(ended.send(result));
            }
        });
        Ok(Response::new(ReceiverStream::new(outbound)))
    }
}

async fn once(
    mut inbound: Streaming<WorkerMessage>,
    sender: &mpsc::Sender<Result<SchedulerMessage, Status>>,
) -> Result<pb::JobResult> {
    let run = pb::RunJob {
        request_id: "r1".into(),
        attempt: 1,
        function_name: "echo".into(),
        input_payload: b"\x81\xa4text\xa5marco".as_slice().into(),
        ..Default::default()
    };
    let ack = pb::HelloAck { protocol_version: 2, ..Default::default() };
    loop {
        match inbound.message().await?.context("the worker went away")?.msg {
            Some(Msg::Hello(_)) => {
                for msg in [Outbound::HelloAck(ack.clone()), Outbound::RunJob(run.clone())] {
                    sender.send(Ok(SchedulerMessage { msg: Some(msg) })).await?;
                }
            }
            Some(Msg::JobResult(result)) => return Ok(result),
            _ => {}
        }
    }
}

/// Serves with the certificate of `tests/tls`; the result comes over the channel.
async fn serve(scope: &Arc<Scope>) -> Result<(SocketAddr, oneshot::Receiver<pb::JobResult>)> {
    let tls = |file: &str| fs::read(workspace().join("tests/tls").join(file)).with_context(|| format!("read {file}"));
    let identity = Identity::from_pem(tls("server.pem")?, tls("server.key")?);
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let (sender, ended) = oneshot::channel();
    let service = Once { scope: Arc::clone(scope), ended: parking_lot::Mutex::new(Some(sender)) };
    let mut server = Server::builder().tls_config(ServerTlsConfig::new().identity(identity))?;
    let served =
        server.add_service(WorkerSchedulerServer::new(service)).serve_with_incoming(TcpListenerStream::new(listener));
    // It ends with its scope.
    scope.spawn("server", async move { drop(served.await) });
    Ok((address, ended))
}

fn worker(address: &str, words: &[&str]) -> Result<Process> {
    let mut command = Command::new(built("conformance-endpoint")?);
    command.arg("worker").args(words).env("ORCHESTRATOR_PUBLIC_ADDR", address).env("WORKER_ID", "w1");
    // Nothing of a test stays behind in the home directory.
    command.env("GEN_WORKER_SPOOL", "never");
    Process::start("worker", &mut command)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn w1_a_worker_serves_over_tls_with_the_roots_it_was_given() -> Result<()> {
    let scope = Arc::new(Scope::new("test"));
    let (address, ended) = serve(&scope).await?;
    let roots = workspace().join("tests/tls/ca.pem");
    let roots = roots.to_str().context("a path in UTF-8")?;
    let _worker = worker(&format!("grpcs://localhost:{}", address.port()), &["--ca-bundle", roots])?;
    let result = ended.await.context("the stream broke")?;
    assert_eq!(result.status(), pb::JobStatus::Ok, "{}", result.safe_message);
    assert!(matches!(result.output, Some(Output::Inline(output)) if output.as_ref() == b"\x81\xa8response\xa5marco"));
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn w1_a_certificate_that_no_root_vouches_for_is_refused_by_name() -> Result<()> {
    let scope = Arc::new(Scope::new("test"));
    let (address, mut ended) = serve(&scope).await?;
    let roots = workspace().join("tests/tls/other.pem");
    let roots = roots.to_str().context("a path in UTF-8")?;
    let mut worker = worker(&format!("grpcs://localhost:{}", address.port()), &["--ca-bundle", roots])?;
    let line = worker.wait_for_line("not connected")?;
    ensure!(line.contains("UnknownIssuer"), "{line}");
    assert!(ended.try_recv().is_err(), "nothing was said on such a connection");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn w1_plaintext_to_a_tls_port_is_an_error_and_no_downgrade() -> Result<()> {
    let scope = Arc::new(Scope::new("test"));
    let (address, mut ended) = serve(&scope).await?;
    let mut worker = worker(&format!("grpc://{address}"), &[])?;
    worker.wait_for_line("not connected")?;
    assert!(ended.try_recv().is_err());
    Ok(())
}

/// Section 3: a blocking handler that ignores its deadline for 30 s more. Nothing shorter shows it, so this is the
/// longest test there is.
#[test]
fn w17_a_handler_that_never_ends_takes_its_process_along_with_code_70() -> Result<()> {
    let pool = Pool::start(&PoolOptions::default())?;
    let mut command = Command::new(built("stuck-endpoint")?);
    command.args(["worker", "--spool", "never"]);
    command.env("ORCHESTRATOR_PUBLIC_ADDR", format!("grpc://{}", pool.wire()?)).env("WORKER_ID", "w1");
    let mut worker = Process::start("stuck", &mut command)?;
    pool.worker("w1")?;
    let body = json!({"function": "stuck", "payload": {}, "options": {"timeout_ms": 100}});
    let answer = pool.api.put("/v1/requests/r1", &body)?;
    ensure!(answer.status == 202, "{answer:?}");
    let ended = pool.api.ended("r1")?;
    assert_eq!(ended["error"]["code"], "deadline_exceeded", "{ended}");
    worker.wait_for_line("stuck")?;
    assert_eq!(worker.wait()?.code(), Some(70), "{}", worker.log());
    Ok(())
}

#[test]
fn a_worker_shows_its_counts_to_prometheus() -> Result<()> {
    let pool = Pool::start(&PoolOptions::default())?;
    let wire = format!("grpc://{}", pool.wire()?);
    let mut worker = worker(&wire, &["--metrics-addr", "127.0.0.1:0", "--spool", "never", "--log-format", "json"])?;
    let line = worker.wait_for_line("\"metrics\"")?;
    let line: serde_json::Value = serde_json::from_str(&line).with_context(|| line.clone())?;
    let address = line.pointer("/fields/address").or_else(|| line.get("address")).and_then(|at| at.as_str());
    let address = address.with_context(|| line.to_string())?;
    pool.worker("w1")?;
    for id in ["a", "b"] {
        pool.api.put(&format!("/v1/requests/{id}"), &json!({"function": "echo", "payload": {"text": id}}))?;
        pool.api.ended(id)?;
    }
    let page = ureq::get(format!("http://{address}/metrics")).call()?.body_mut().read_to_string()?;
    for line in [
        "gen_worker_worker_connected 1",
        "gen_worker_worker_jobs_ended_total{function=\"echo\",status=\"ok\"} 2",
        "gen_worker_worker_job_run_seconds_count{function=\"echo\"} 2",
        "gen_worker_worker_slots_started_total 0",
    ] {
        ensure!(page.lines().any(|other| other == line), "{line} in\n{page}");
    }
    let elsewhere = ureq::get(format!("http://{address}/")).call();
    ensure!(matches!(elsewhere, Err(ureq::Error::StatusCode(404))), "{elsewhere:?}");
    let taken = worker_that_ends(&wire, &["--metrics-addr", address])?;
    ensure!(taken.contains("metrics cannot be served on"), "{taken}");
    Ok(())
}

/// What a worker says that cannot start.
fn worker_that_ends(address: &str, words: &[&str]) -> Result<String> {
    let mut process = worker(address, words)?;
    let status = process.wait()?;
    ensure!(status.code() == Some(2), "{status}: {}", process.log());
    Ok(process.log())
}

/// How often the worker has asked for memory so far.
async fn allocations(session: &mut ScriptedSession) -> Result<u64> {
    session.dispatch("allocated", &bytes::Bytes::from_static(b"\x80")).await?;
    let Some(Output::Inline(output)) = session.result().await?.output else { anyhow::bail!("no output") };
    let counts: BTreeMap<String, u64> = rmp_serde::from_slice(&output)?;
    counts.get("allocations").copied().context("a count")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_needs_nothing_costs_few_allocations() -> Result<()> {
    let mut scripted = Scripted::listen().await?;
    let _worker = OwnWorker::start("counting-worker", scripted.address(), &[])?;
    let mut session = scripted.session().await?;
    let payload = rmp_serde::to_vec_named(&json!({"text": "marco"}))?.into();
    let jobs = Jobs { function: "echo", payload, count: 5_000, in_flight: 64 };
    session.run(&jobs).await?;
    let before = allocations(&mut session).await?;
    session.run(&jobs).await?;
    let per_job = allocations(&mut session).await?.saturating_sub(before) / jobs.count as u64;
    ensure!(per_job <= ALLOCATIONS_MAX, "{per_job} for each job");
    Ok(())
}
