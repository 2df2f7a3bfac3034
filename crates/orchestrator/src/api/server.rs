//! The listener: connections, their limits, and how they end. Owns the connection tasks.

use std::{future::Future, io, net::SocketAddr, pin::pin, sync::Arc, time::Duration};

use axum::{Extension, Router, extract::ConnectInfo, middleware::AddExtension};
use gen_worker_tasks::{Cancel, Scope};
use hyper::rt::Executor;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::conn::auto::Builder,
    service::TowerToHyperService,
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
};

use tower::Layer as _;

use super::{router, state::Options};
use crate::pool::Handle;

/// Most connections at once. Each holds a few tens of KiB; beyond this new ones wait in the backlog of the listener.
const CONNECTIONS_MAX: usize = 16_384;

/// How long a client may take to send the head of a request.
const HEAD_TIME: Duration = Duration::from_secs(30);

/// Pause after a failed accept (no descriptors left, mostly), so that the loop does not spin until one is free.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// The routes, which know where a connection comes from.
type Service = AddExtension<Router, ConnectInfo<SocketAddr>>;

/// Serves the API on `listener` until `cancel` asks for a stop; then finishes replies that are under way, within
/// `options.drain`, and returns.
///
/// # Cancel safety
/// Dropping the future drops all connections where they stand.
pub async fn serve(listener: TcpListener, handle: Handle, options: Options, cancel: &Cancel) {
    let scope = Arc::new(Scope::under("api", cancel));
    let drain = options.drain;
    let router = router(handle, options, Arc::clone(&scope));
    let room = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        let next = async {
            let permit = Arc::clone(&room).acquire_owned().await.map_err(io::Error::other)?;
            listener.accept().await.map(|(stream, peer)| (stream, peer, permit))
        };
        let accepted = tokio::select! {
            biased;
            () = scope.cancel().stopped() => break,
            accepted = next => accepted,
        };
        match accepted {
            Ok((stream, peer, permit)) => {
                let router = Extension(ConnectInfo(peer)).layer(router.clone());
                let connection = connection(stream, permit, router, Arc::clone(&scope));
                scope.spawn_bare(connection);
            }
            Err(error) => {
                tracing::warn!(%error, "connection was not accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    // New callers see a closed port instead of a silent one.
    drop(listener);
    scope.join(drain).await;
}

async fn connection(stream: TcpStream, permit: OwnedSemaphorePermit, router: Service, scope: Arc<Scope>) {
    let cancel = scope.cancel().clone();
    // Small replies must not wait for the acknowledgement of the last one. A socket that refuses works all the same.
    drop(stream.set_nodelay(true));
    let mut builder = Builder::new(OnScope(scope));
    builder.http1().timer(TokioTimer::new()).header_read_timeout(HEAD_TIME).pipeline_flush(true);
    builder.http2().timer(TokioTimer::new());
    let served = builder.serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
    let mut served = pin!(served);
    let ended = tokio::select! {
        ended = served.as_mut() => ended,
        () = cancel.stopped() => {
            served.as_mut().graceful_shutdown();
            tokio::select! {
                ended = served => ended,
                () = cancel.killed() => Ok(()),
            }
        }
    };
    if let Err(error) = ended {
        // Clients go away whenever they like.
        tracing::trace!(%error, "connection ended early");
    }
    drop(permit);
}

/// Runs what HTTP/2 needs beside its connection task under the same owner.
#[derive(Clone)]
struct OnScope(Arc<Scope>);

impl<F> Executor<F> for OnScope
where
    F: Future<Output = ()> + Send + 'static,
{
    fn execute(&self, future: F) {
        self.0.spawn_bare(future);
    }
}
