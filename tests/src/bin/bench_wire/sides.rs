//! Who answers: the floor, our worker, the peer.

use std::{sync::Arc, time::Duration};

use anyhow::{Context, Result, anyhow};
use bytes::Bytes;
use gen_worker_core::{Address, LocalModels, Registry, Worker, WorkerOptions};
use gen_worker_proto::{
    limits::MESSAGE_BYTES_MAX,
    pb::{
        self, WorkerMessage, job_result::Output, scheduler_message::Msg as Outbound, worker_message::Msg,
        worker_scheduler_client::WorkerSchedulerClient,
    },
};
use gen_worker_tasks::{Cancel, Scope};
use gen_worker_tests::{Peer, PeerWorker, Scripted};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

use super::load::{BLOB_BYTES, BLOBS, CHUNKS, Load, Measure};

/// The Python worker that is measured.
pub(crate) const PEER: &str = "0.11.2";

/// Messages that the floor may have queued; above every load.
const CHANNEL: usize = 32_768;

/// Part of a load that warms both sides up before it is measured.
const WARM_UP: usize = 20;

#[derive(Clone, Copy)]
pub(crate) enum Side {
    Floor,
    Ours,
    Peer,
}

/// One round: server and worker from nothing, the load, and both gone again.
pub(crate) async fn run(load: Load, side: Side) -> Result<Duration> {
    let mut scripted = Scripted::listen().await?;
    let address = scripted.address();
    let (scope, cancel) = (Scope::new("bench"), Cancel::new());
    let mut peer: Option<PeerWorker> = None;
    match side {
        Side::Peer => peer = Some(Peer::Python(PEER).start("bench", address)?),
        Side::Floor => scope.spawn("floor", async move {
            if let Err(error) = floor(format!("http://{address}"), load).await {
                eprintln!("floor: {error}");
            }
        }),
        Side::Ours => {
            let mut options = WorkerOptions::new(Address::parse(&format!("grpc://{address}"), false)?);
            options.worker_id = "bench".into();
            let registry = Registry::collect().map_err(|errors| anyhow!("{errors}"))?;
            let worker = Worker::new(options, registry, Arc::new(LocalModels::new()));
            let cancel = cancel.clone();
            scope.spawn("ours", async move { drop(worker.run(cancel).await) });
        }
    }
    let mut session = scripted.session().await?;
    let (warm_up, measured) = (load.jobs(load.jobs / WARM_UP)?, load.jobs(load.jobs)?);
    // On the threads of the runtime, as a server's own task would be.
    let took = scope.spawn_bare(async move {
        session.run(&warm_up).await?;
        session.run(&measured).await
    });
    let took = took.await.context("the load")?;
    drop(peer);
    cancel.kill();
    scope.cancel().kill();
    scope.join(Duration::from_secs(5)).await;
    scripted.end().await;
    took
}

/// The bare client: no decoding, no bookkeeping, no limits.
async fn floor(address: String, load: Load) -> Result<()> {
    let window = 8 * 1024 * 1024;
    let channel = tonic::transport::Endpoint::from_shared(address)?
        .tcp_nodelay(true)
        .initial_stream_window_size(window)
        .initial_connection_window_size(window)
        .connect()
        .await?;
    let (sender, outbound) = mpsc::channel(CHANNEL);
    let reply = |msg| WorkerMessage { msg: Some(msg) };
    let hello = pb::Hello { protocol_version: 2, worker_id: "floor".into(), ..Default::default() };
    sender.send(reply(Msg::Hello(hello))).await?;
    let mut client = WorkerSchedulerClient::new(channel).max_decoding_message_size(MESSAGE_BYTES_MAX);
    let mut inbound = client.connect(ReceiverStream::new(outbound)).await?.into_inner();
    let (frames, frame) = frames(load);
    while let Some(message) = inbound.message().await? {
        let Some(Outbound::RunJob(run)) = message.msg else { continue };
        let (request_id, attempt) = (run.request_id, run.attempt);
        sender.send(reply(Msg::JobAccepted(pb::JobAccepted { request_id: request_id.clone(), attempt }))).await?;
        for seq in 1..=frames {
            let progress = pb::JobProgress {
                request_id: request_id.clone(),
                attempt,
                seq: i64::try_from(seq)?,
                data: frame.clone(),
                content_type: "text/plain".into(),
            };
            sender.send(reply(Msg::JobProgress(progress))).await?;
        }
        let is_small = run.input_payload.len() < BLOB_BYTES;
        let output = if is_small { run.input_payload } else { Bytes::from_static(b"\x80") };
        let result = pb::JobResult {
            request_id,
            attempt,
            status: pb::JobStatus::Ok.into(),
            output: Some(Output::Inline(output)),
            ..Default::default()
        };
        sender.send(reply(Msg::JobResult(result))).await?;
    }
    Ok(())
}

/// The frames that the floor answers with.
fn frames(load: Load) -> (u64, Bytes) {
    match load.measure {
        Measure::ChunksPerSecond(_) => (CHUNKS, Bytes::from_static(b"token")),
        Measure::BytesOut(_) => (BLOBS, Bytes::from(vec![7; BLOB_BYTES])),
        _ => (0, Bytes::new()),
    }
}
