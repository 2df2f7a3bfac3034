//! The wire server: the gRPC service on a listener. Opens one session per stream; knows nothing of jobs.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering::Relaxed},
};

use futures::Stream;
use gen_worker_proto::{
    limits,
    pb::{
        self,
        worker_scheduler_server::{WorkerScheduler, WorkerSchedulerServer},
    },
};
use gen_worker_tasks::{Cancel, Scope};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpListener,
};
use tonic::{
    Request, Response, Status, Streaming,
    codegen::StdError as BoxError,
    transport::server::{Connected, TcpIncoming},
};
use tracing::warn;

use crate::{
    pool::Handle,
    session::{self, Owner, SessionId, WorkerVerifier, outbound},
};

/// HTTP/2 flow-control windows: a full batch of inline outputs from one worker fits without a round trip.
const STREAM_WINDOW_BYTES: u32 = 8 * 1024 * 1024;

/// The same for a connection, which normally carries one stream.
const CONNECTION_WINDOW_BYTES: u32 = 16 * 1024 * 1024;

/// Largest HTTP/2 frame we take: large payloads in few frames, small enough to stay fair.
const FRAME_BYTES_MAX: u32 = 1024 * 1024;

/// Serves worker streams on a listener until `cancel` is stopped. Streams are ended by the pool; this waits for them
/// to be written out. One task per stream runs in `sessions`.
///
/// # Errors
/// When the listener fails.
pub async fn serve(
    listener: TcpListener,
    handle: Handle,
    verifier: Arc<dyn WorkerVerifier>,
    sessions: Arc<Scope>,
    cancel: Cancel,
) -> Result<(), tonic::transport::Error> {
    let incoming =
        TcpIncoming::from(listener).with_nodelay(Some(true)).with_keepalive(Some(limits::KEEPALIVE_INTERVAL));
    serve_on(incoming, handle, verifier, sessions, cancel).await
}

/// [`serve`] on any source of connections: the seam for tests and for transports other than TCP.
///
/// # Errors
/// When the source fails.
pub async fn serve_on<I, IO, E>(
    incoming: I,
    handle: Handle,
    verifier: Arc<dyn WorkerVerifier>,
    sessions: Arc<Scope>,
    cancel: Cancel,
) -> Result<(), tonic::transport::Error>
where
    I: Stream<Item = Result<IO, E>>,
    IO: AsyncRead + AsyncWrite + Connected + Unpin + Send + 'static,
    E: Into<BoxError>,
{
    let service = Service { handle, verifier, sessions, last_session: AtomicU64::new(0) };
    let service = WorkerSchedulerServer::new(service)
        .max_decoding_message_size(limits::MESSAGE_BYTES_MAX)
        .max_encoding_message_size(limits::MESSAGE_BYTES_MAX);
    tonic::transport::Server::builder()
        .http2_keepalive_interval(Some(limits::KEEPALIVE_INTERVAL))
        .http2_keepalive_timeout(Some(limits::KEEPALIVE_TIMEOUT))
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .max_frame_size(FRAME_BYTES_MAX)
        .add_service(service)
        .serve_with_incoming_shutdown(incoming, async move { cancel.stopped().await })
        .await
}

struct Service {
    handle: Handle,
    verifier: Arc<dyn WorkerVerifier>,
    sessions: Arc<Scope>,
    last_session: AtomicU64,
}

#[tonic::async_trait]
impl WorkerScheduler for Service {
    type ConnectStream = outbound::OutboundStream;

    async fn connect(
        &self,
        request: Request<Streaming<pb::WorkerMessage>>,
    ) -> Result<Response<Self::ConnectStream>, Status> {
        let identity = self.verifier.verify(session::bearer(request.metadata())).map_err(|error| {
            warn!(peer = ?request.remote_addr(), "worker token was refused");
            Status::unauthenticated(error.to_string())
        })?;
        let id = SessionId(self.last_session.fetch_add(1, Relaxed) + 1);
        let (outbound, stream) = outbound::outbound();
        let owner = Owner { inputs: self.handle.inputs.clone(), hub: Arc::clone(&self.handle.hub) };
        self.sessions.spawn("session", session::run(id, identity, request.into_inner(), outbound, owner));
        Ok(Response::new(stream))
    }
}

#[cfg(test)]
mod tests;
