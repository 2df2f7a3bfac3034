//! The listener: connections, their limits, and how they end. Owns the connection tasks.

mod linger;
mod room;
mod unread;

use std::{convert::Infallible, io, net::SocketAddr, pin::pin, sync::Arc, time::Duration};

use axum::{Router, body::Body};
use gen_worker_tasks::{Cancel, Scope};
use hyper::{Request, body::Incoming, server::conn::http1::Builder, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tower::ServiceExt as _;

use crate::{
    api,
    hub::Hub,
    patience::{PatientBody, PatientSocket},
};
use linger::Lingering;
use room::Room;
use unread::{Unread, Watched};

pub(crate) use room::network;

/// How long a client may take to send the head of a request.
const HEAD_TIME: Duration = Duration::from_secs(30);

/// Pause after a failed accept (no descriptors left, mostly), so that the loop does not spin until one is free.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Bytes that a connection reads ahead, besides the piece that its transfer holds. Twice this is kept of each now and then: a
/// hundred transfers at once have 12 MiB.
const READ_AHEAD_BYTES: usize = 64 * 1024;

/// Serves `hub` on `listener` until `cancel` asks for a stop; then finishes replies that are under way, within `drain`.
/// Connections beyond [`crate::HubOptions::connections`] wait in the backlog of the listener; those beyond what one address may
/// have are closed.
///
/// # Cancel safety
/// Dropping the future drops all connections where they stand.
pub async fn serve(listener: TcpListener, hub: Arc<Hub>, drain: Duration, cancel: &Cancel) {
    let scope = Scope::under("hub", cancel);
    let options = &hub.options;
    let (stall, room) = (options.stall, Room::new(options.connections, options.connections_per_address));
    let router = api::router(hub);
    loop {
        let next = async {
            let permit = room.free().await.ok_or_else(|| io::Error::other("the room is closed"))?;
            listener.accept().await.map(|accepted| (accepted, permit))
        };
        let accepted = tokio::select! {
            biased;
            () = scope.cancel().stopped() => break,
            accepted = next => accepted,
        };
        match accepted {
            Ok(((stream, peer), permit)) => {
                let Some(place) = room.enter(peer.ip(), permit) else {
                    tracing::debug!(%peer, "an address has too many connections");
                    continue;
                };
                let (router, cancel) = (router.clone(), scope.cancel().clone());
                scope.spawn_bare(async move {
                    connection(stream, peer, router, stall, cancel).await;
                    drop(place);
                });
            }
            Err(error) => {
                tracing::warn!(%error, "connection was not accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    drop(listener);
    scope.join(drain).await;
}

async fn connection(stream: TcpStream, peer: SocketAddr, router: Router, stall: Duration, cancel: Cancel) {
    // Small replies must not wait for the acknowledgement of the last one. A socket that refuses works all the same.
    drop(stream.set_nodelay(true));
    let unread = Unread::default();
    let stream = Lingering::new(PatientSocket::new(stream, stall), unread.clone(), stall);
    let service = service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(api::Peer(peer.ip()));
        let (head, body) = request.into_parts();
        let (body, reading) = Watched::new(PatientBody::new(body, stall));
        let reply = router.clone().oneshot(Request::from_parts(head, Body::new(body)));
        let unread = unread.clone();
        async move { Ok::<_, Infallible>(reading.tell(reply.await.unwrap_or_else(|never| match never {}), &unread)) }
    });
    let mut builder = Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(HEAD_TIME).max_buf_size(READ_AHEAD_BYTES);
    let mut served = pin!(builder.serve_connection(TokioIo::new(stream), service));
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
}
