//! Opening the transport: TCP, TLS, HTTP/2. Owns nothing after it returned.

use std::{io, sync::Arc, time::Duration};

use futures::future::BoxFuture;
use gen_worker_proto::limits::{KEEPALIVE_INTERVAL, KEEPALIVE_TIMEOUT};
use gen_worker_tasks::Scope;
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
};
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Uri};

use super::{LinkFailure, flushed_io::FlushedIo};
use crate::{address::Address, outbox::Flushes};

/// Receive window of the stream, in bytes. At 64 KiB per message the default of 64 KiB would allow one message per
/// round trip; 4 MiB covers 64 of them, and the bandwidth-delay product of 1 Gbit/s at 30 ms.
const STREAM_WINDOW_BYTES: u32 = 4 * 1024 * 1024;

/// Receive window of the connection. It carries one stream; twice its window leaves the stream's as the bound.
const CONNECTION_WINDOW_BYTES: u32 = 2 * STREAM_WINDOW_BYTES;

/// A byte stream to the orchestrator, before TLS.
pub trait DialedIo: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> DialedIo for T {}

/// Opens byte streams to the orchestrator. The seam for tests and for transports other than TCP.
pub trait Dial: Send + Sync {
    /// Opens a byte stream to `address`. TLS is not its business.
    ///
    /// # Errors
    /// When there is none to be had.
    ///
    /// # Cancel safety
    /// The future may be dropped: an unfinished dial leaves nothing behind.
    fn dial(&self, address: &Address) -> BoxFuture<'static, io::Result<Box<dyn DialedIo>>>;
}

/// TCP without delay of small writes.
#[derive(Clone, Copy, Debug, Default)]
pub struct TcpDial;

impl Dial for TcpDial {
    fn dial(&self, address: &Address) -> BoxFuture<'static, io::Result<Box<dyn DialedIo>>> {
        let (host, port) = (address.host().to_owned(), address.port());
        Box::pin(async move {
            let stream = TcpStream::connect((host.as_str(), port)).await?;
            stream.set_nodelay(true)?;
            Ok(Box::new(stream) as Box<dyn DialedIo>)
        })
    }
}

/// What a dial needs besides the address.
#[derive(Clone)]
pub(crate) struct DialOptions {
    pub(crate) dial: Arc<dyn Dial>,
    /// PEM roots instead of the system's.
    pub(crate) ca_bundle: Option<Vec<u8>>,
    /// Owns the tasks of the connection.
    pub(crate) scope: Arc<Scope>,
}

/// An HTTP/2 connection without a stream.
pub(crate) struct Transport {
    pub(crate) channel: Channel,
    /// How often the connection wrote out everything it held.
    pub(crate) flushes: Arc<Flushes>,
    pub(crate) origin: Uri,
}

/// Runs the connection's tasks in the worker's scope.
#[derive(Clone)]
struct Owned(Arc<Scope>);

impl<F> hyper::rt::Executor<F> for Owned
where
    F: Future<Output = ()> + Send + 'static,
{
    fn execute(&self, future: F) {
        drop(self.0.spawn_bare(future));
    }
}

/// Opens a transport to `address`. The caller bounds the time.
pub(crate) async fn dial(options: &DialOptions, address: &Address) -> Result<Transport, LinkFailure> {
    let endpoint = endpoint(options, address)?;
    let flushes = Arc::new(Flushes::default());
    let (dial, target, counter) = (options.dial.clone(), address.clone(), flushes.clone());
    let connector = tower::service_fn(move |_: Uri| {
        let (opening, counter) = (dial.dial(&target), counter.clone());
        async move { opening.await.map(|io| TokioIo::new(FlushedIo::new(io, counter))) }
    });
    let origin = endpoint.uri().clone();
    let channel = endpoint.connect_with_connector(connector).await.map_err(LinkFailure::Transport)?;
    Ok(Transport { channel, flushes, origin })
}

fn endpoint(options: &DialOptions, address: &Address) -> Result<Endpoint, LinkFailure> {
    let scheme = if address.tls() { "https" } else { "http" };
    let bracketed = if address.host().contains(':') { format!("[{}]", address.host()) } else { address.host().into() };
    let endpoint = Endpoint::from_shared(format!("{scheme}://{bracketed}:{}", address.port()))
        .map_err(LinkFailure::Transport)?
        .executor(Owned(options.scope.clone()))
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .http2_keep_alive_interval(KEEPALIVE_INTERVAL)
        .keep_alive_timeout(KEEPALIVE_TIMEOUT)
        .keep_alive_while_idle(true)
        .tcp_nodelay(true);
    if !address.tls() {
        return Ok(endpoint);
    }
    let tls = match &options.ca_bundle {
        Some(pem) => ClientTlsConfig::new().ca_certificate(Certificate::from_pem(pem)),
        None => ClientTlsConfig::new().with_native_roots(),
    };
    let tls = tls.timeout(TLS_TIMEOUT);
    endpoint.tls_config(tls).map_err(LinkFailure::Transport)
}

/// A TLS handshake that takes longer will not end; the handshake as a whole has 30 s.
const TLS_TIMEOUT: Duration = Duration::from_secs(20);
