//! The server side of a relay: takes streams, and carries what comes on either side to the other.

use std::{
    convert::Infallible,
    future::Future,
    pin::Pin,
    sync::{Arc, Weak},
    task::{Context, Poll},
};

use bytes::Bytes;
use futures::{StreamExt as _, stream::Map};
use gen_worker_proto::limits::MESSAGE_BYTES_MAX;
use tokio::{net::TcpListener, sync::mpsc::Receiver};
use tokio_stream::wrappers::{ReceiverStream, TcpListenerStream};
use tonic::{
    Request, Response, Status, Streaming,
    body::Body,
    client::Grpc as Client,
    codegen::{Service, http},
    metadata::{Ascii, MetadataValue},
    server::{Grpc as Server, NamedService, StreamingService},
    transport::Endpoint,
};

use super::{
    Shared,
    codec::Raw,
    journal::{self, Event},
    line::{Item, Line},
};

/// Bytes that may be on the way on either side. How many small frames a connection takes before it counts as an attack
/// follows from it: a relay that is short of time for a moment must not end one.
const WINDOW_BYTES: u32 = 16 * 1024 * 1024;

/// The one method there is.
const PATH: &str = "/cozy.scheduler.WorkerScheduler/Connect";

/// Serves until it is dropped.
pub(super) async fn serve(listener: TcpListener, shared: Weak<Shared>) {
    let incoming = TcpListenerStream::new(listener).map(|stream| {
        let stream = stream?;
        stream.set_nodelay(true)?;
        Ok::<_, std::io::Error>(stream)
    });
    let server = tonic::transport::Server::builder()
        .initial_stream_window_size(WINDOW_BYTES)
        .initial_connection_window_size(WINDOW_BYTES)
        .add_service(Relayed { shared });
    if let Err(error) = server.serve_with_incoming(incoming).await {
        eprintln!("relay: {error}");
    }
}

/// The service, without the generated code that would read the messages.
#[derive(Clone)]
struct Relayed {
    shared: Weak<Shared>,
}

/// What a worker gets. The codec would not keep the code of a status, so that never comes to it.
type Reply = Map<ReceiverStream<Item>, fn(Item) -> Result<Item, Status>>;
type Answer<T, E> = Pin<Box<dyn Future<Output = Result<T, E>> + Send>>;

impl NamedService for Relayed {
    const NAME: &'static str = "cozy.scheduler.WorkerScheduler";
}

impl Service<http::Request<Body>> for Relayed {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = Answer<Self::Response, Infallible>;

    fn poll_ready(&mut self, _context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let method = self.clone();
        let mut server = Server::new(Raw).max_decoding_message_size(MESSAGE_BYTES_MAX);
        Box::pin(async move { Ok(server.streaming(method, request).await) })
    }
}

impl StreamingService<Bytes> for Relayed {
    type Response = Item;
    type ResponseStream = Reply;
    type Future = Answer<Response<Reply>, Status>;

    fn call(&mut self, request: Request<Streaming<Bytes>>) -> Self::Future {
        let shared = self.shared.upgrade();
        Box::pin(async move {
            let shared = shared.ok_or_else(|| Status::unavailable("the relay has ended"))?;
            open(&shared, request).await
        })
    }
}

/// Takes a stream, unless it is to be refused.
async fn open(shared: &Arc<Shared>, request: Request<Streaming<Bytes>>) -> Result<Response<Reply>, Status> {
    let authorization = request.metadata().get("authorization").cloned();
    let number = shared.journal.lock().next_stream();
    let shown = authorization.as_ref().and_then(|value| value.to_str().ok()).map(str::to_owned);
    shared.journal.lock().add(number, Event::Opened(shown));
    let mut inbound = request.into_inner();
    let refusal = shared.refusals.lock().pop_front();
    if let Some(status) = refusal {
        // A client that is refused while it still writes its first message may not learn why.
        if let Some(hello) = inbound.message().await? {
            shared.passes(number, journal::of_worker(&hello));
        }
        shared.journal.lock().add(number, Event::Ended(status.clone()));
        return Err(status);
    }
    let mut reachable = shared.reachable.subscribe();
    reachable.wait_for(|reachable| *reachable).await.map_err(|_| Status::unavailable("the relay has ended"))?;
    let (line, at_worker, at_orchestrator) = Line::new(number);
    let line = Arc::new(line);
    shared.lines.lock().push(line.clone());
    shared.scope.spawn("down", down(Arc::downgrade(shared), line.clone(), at_orchestrator, authorization));
    shared.scope.spawn("up", up(Arc::downgrade(shared), line, inbound));
    Ok(Response::new(ReceiverStream::new(at_worker).map(|item| item.map(Ok))))
}

/// Carries what the worker sends.
async fn up(shared: Weak<Shared>, line: Arc<Line>, mut inbound: Streaming<Bytes>) {
    let carry = async {
        loop {
            let message = inbound.message().await;
            let Some(shared) = shared.upgrade() else { return };
            match message {
                Ok(Some(message)) => {
                    if shared.passes(line.number, journal::of_worker(&message)) {
                        line.carry_up(Ok(message)).await;
                    }
                }
                _ if line.is_forgotten() => return,
                Ok(None) => {
                    shared.passes(line.number, Some(Event::HalfClosed));
                    return line.close_up();
                }
                Err(status) => {
                    shared.passes(line.number, Some(Event::BrokenOff));
                    line.carry_up(Err(status)).await;
                    return line.end.kill();
                }
            }
        }
    };
    tokio::select! {
        () = carry => {}
        () = line.end.killed() => {}
    }
}

/// Opens the stream to the orchestrator, and carries what it sends.
async fn down(
    shared: Weak<Shared>,
    line: Arc<Line>,
    outbound: Receiver<Item>,
    authorization: Option<MetadataValue<Ascii>>,
) {
    let Some(target) = shared.upgrade().map(|shared| shared.target) else { return };
    let carry = async {
        let mut inbound = dial(&format!("http://{target}"), outbound, authorization).await?;
        while let Some(message) = inbound.message().await? {
            let Some(shared) = shared.upgrade() else { break };
            if shared.passes(line.number, journal::of_orchestrator(&message)) {
                line.carry_down(Ok(message)).await;
            }
        }
        Ok(())
    };
    let ended: Result<(), Status> = tokio::select! {
        ended = carry => ended,
        () = line.end.killed() => return line.close_down(),
    };
    if let Some(shared) = shared.upgrade() {
        let status = ended.as_ref().err().cloned().unwrap_or_else(|| Status::ok(""));
        shared.passes(line.number, Some(Event::Ended(status)));
    }
    if let Err(status) = ended {
        line.carry_down(Err(status)).await;
    }
    line.close_down();
}

async fn dial(
    target: &str,
    outbound: Receiver<Item>,
    authorization: Option<MetadataValue<Ascii>>,
) -> Result<Streaming<Bytes>, Status> {
    let unavailable = |error: tonic::transport::Error| Status::unavailable(error.to_string());
    let channel =
        Endpoint::from_shared(target.to_owned()).map_err(unavailable)?.connect().await.map_err(unavailable)?;
    let mut client = Client::new(channel).max_decoding_message_size(MESSAGE_BYTES_MAX);
    client.ready().await.map_err(unavailable)?;
    let mut request = Request::new(ReceiverStream::new(outbound));
    if let Some(authorization) = authorization {
        request.metadata_mut().insert("authorization", authorization);
    }
    let path = http::uri::PathAndQuery::from_static(PATH);
    Ok(client.streaming(request, path, Raw).await?.into_inner())
}
