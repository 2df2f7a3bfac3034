//! The scripted scheduler: takes the calls of the worker and hands them over. It answers nothing by itself.

use std::{io, net::SocketAddr};

use futures::{Stream, stream};
use gen_worker_proto::{
    limits::MESSAGE_BYTES_MAX,
    pb::{
        SchedulerMessage, WorkerMessage,
        worker_scheduler_server::{WorkerScheduler, WorkerSchedulerServer},
    },
};
use gen_worker_tasks::Scope;
use tokio::{
    net::TcpListener,
    sync::mpsc::{self, Receiver, Sender},
};
use tonic::{Request, Response, Status, Streaming, transport};

use super::gate::{Gate, Gated};
use crate::exit::Failure;

/// Calls that may wait to be taken. A worker has one at a time; a few more come in when it redials fast.
const CALLS_MAX: usize = 16;

/// Messages on their way to the worker. Above what a round sends, so that the driver never waits for the worker.
const OUTBOUND_MAX: usize = 1_024;

/// A call of the worker, with the headers of its reply sent and nothing else.
pub(super) struct Call {
    pub(super) inbound: Streaming<WorkerMessage>,
    pub(super) outbound: Sender<Result<SchedulerMessage, Status>>,
    pub(super) gate: Gate,
}

/// The listening server. It ends with its guard.
pub(super) struct Server {
    address: SocketAddr,
    calls: Receiver<Call>,
    _scope: Scope,
}

impl Server {
    /// Listens on a free port of this machine alone.
    pub(super) async fn start() -> Result<Self, Failure> {
        let failed = |error: io::Error| Failure::failed(format!("could not listen for the worker: {error}"));
        let listener = TcpListener::bind("127.0.0.1:0").await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let (sender, calls) = mpsc::channel(CALLS_MAX);
        let service = WorkerSchedulerServer::new(Service { calls: sender });
        let service = service.max_decoding_message_size(MESSAGE_BYTES_MAX).max_encoding_message_size(MESSAGE_BYTES_MAX);
        let scope = Scope::new("chaos-server");
        scope.spawn("serve", async move {
            let served = transport::Server::builder().add_service(service).serve_with_incoming(gated(listener));
            if let Err(error) = served.await {
                tracing::error!(%error, "the scripted scheduler ended");
            }
        });
        Ok(Self { address, calls, _scope: scope })
    }

    /// Where the worker has to connect.
    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// The next call.
    ///
    /// # Cancel safety
    /// May be dropped; no call is lost.
    pub(super) async fn next_call(&mut self) -> Call {
        match self.calls.recv().await {
            Some(call) => call,
            // The server ended, which it reported: whoever waits runs into the limit.
            None => std::future::pending().await,
        }
    }

    /// Forgets calls that came in before a new process was started.
    pub(super) fn forget_calls(&mut self) {
        while self.calls.try_recv().is_ok() {}
    }
}

fn gated(listener: TcpListener) -> impl Stream<Item = io::Result<Gated>> {
    stream::unfold(listener, |listener| async move {
        let accepted = listener.accept().await.and_then(|(stream, _)| {
            stream.set_nodelay(true)?;
            Ok(Gated::new(stream))
        });
        Some((accepted, listener))
    })
}

struct Service {
    calls: Sender<Call>,
}

type Outbound = std::pin::Pin<Box<dyn Stream<Item = Result<SchedulerMessage, Status>> + Send>>;

#[tonic::async_trait]
impl WorkerScheduler for Service {
    type ConnectStream = Outbound;

    async fn connect(&self, request: Request<Streaming<WorkerMessage>>) -> Result<Response<Outbound>, Status> {
        let gate = request.extensions().get::<Gate>().cloned().unwrap_or_default();
        let (outbound, mut messages) = mpsc::channel(OUTBOUND_MAX);
        let call = Call { inbound: request.into_inner(), outbound, gate };
        self.calls.try_send(call).map_err(|_| Status::unavailable("too many calls"))?;
        Ok(Response::new(Box::pin(stream::poll_fn(move |cx| messages.poll_recv(cx)))))
    }
}
