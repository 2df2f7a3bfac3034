//! Who answers: the floor, our worker, the peer.

use std::{sync::Arc, time::Duration};

use anyhow::{Context, Result, anyhow};
use bytes::Bytes;
use gen_worker_core::{Address, LocalModels, Registry, Worker, WorkerOptions};
use gen_worker_tasks::{Cancel, Scope};
use gen_worker_tests::{Peer, PeerWorker, Scripted, floor};

use super::load::{BLOB_BYTES, BLOBS, CHUNKS, Load, Measure};

/// The Python worker that is measured.
pub(crate) const PEER: &str = "0.11.2";

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
            let (frames, frame) = frames(load);
            if let Err(error) = floor(address, frames, frame).await {
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

/// The frames that the floor answers with.
fn frames(load: Load) -> (u64, Bytes) {
    match load.measure {
        Measure::ChunksPerSecond(_) => (CHUNKS, Bytes::from_static(b"token")),
        Measure::BytesOut(_) => (BLOBS, Bytes::from(vec![7; BLOB_BYTES])),
        _ => (0, Bytes::new()),
    }
}
