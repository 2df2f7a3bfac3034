//! One bounded GET. Every fetch is a connection of its own, driven by the fetch itself: it happens once in minutes at
//! most, and nothing runs on when it ends. Owns the trusted roots once a fetch needed them.

use std::{
    error::Error,
    io,
    sync::{Arc, OnceLock},
    time::Duration,
};

use bytes::Bytes;
use http::{Request, StatusCode, header};
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper::{body::Incoming, client::conn::http1};
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
};
use tokio_rustls::{
    TlsConnector,
    rustls::{
        self, ClientConfig, RootCertStore,
        crypto::ring::default_provider,
        pki_types::{CertificateDer, ServerName, pem::PemObject as _},
    },
};

use super::source::KeySource;

/// Largest document in bytes: hundreds of keys.
const BODY_BYTES_MAX: usize = 1024 * 1024;

/// How long a fetch may take, redirects included: a worker that starts waits for it.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Most redirects of one fetch.
const REDIRECTS_MAX: usize = 3;

/// Why nothing was fetched.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FetchError {
    /// No end within the time.
    #[error("no answer within {} s", .0.as_secs_f64())]
    Timeout(Duration),
    /// No connection.
    #[error("no connection")]
    Connect(#[source] io::Error),
    /// The roots are no certificates.
    #[error("the trusted roots cannot be used")]
    Roots(#[source] Box<dyn Error + Send + Sync>),
    /// No certificate that is trusted, or no TLS.
    #[error("no trusted connection")]
    Tls(#[source] io::Error),
    /// The server does not speak HTTP.
    #[error("the server broke off")]
    Http(#[source] hyper::Error),
    /// Another answer than the document.
    #[error("the server answered with status {}", .0.as_u16())]
    Status(StatusCode),
    /// A redirect to another scheme, to no URL, or one too many.
    #[error("the server redirects to where it may not lead")]
    Redirect,
    /// The document is larger than any set of keys, or breaks off.
    #[error("the document is larger than {BODY_BYTES_MAX} bytes or breaks off")]
    Body,
}

/// Fetches documents.
#[derive(Debug)]
pub(crate) struct Fetch {
    /// PEM roots that are trusted besides the system's.
    extra_roots: Option<Vec<u8>>,
    timeout: Duration,
    tls: OnceLock<Arc<ClientConfig>>,
}

/// What one exchange gave.
enum Reply {
    Document(Bytes),
    Redirect(KeySource),
}

impl Fetch {
    /// Trusts the system's roots and `extra_roots`. They are read by the first fetch over TLS.
    pub(crate) fn new(extra_roots: Option<Vec<u8>>) -> Self {
        Self { extra_roots, timeout: TIMEOUT, tls: OnceLock::new() }
    }

    /// The same with another limit.
    #[cfg(test)]
    pub(super) fn within(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// The document at `source`.
    ///
    /// # Cancel safety
    /// May be dropped: the connection is dropped with it.
    pub(super) async fn get(&self, source: &KeySource) -> Result<Bytes, FetchError> {
        let fetched = tokio::time::timeout(self.timeout, self.follow(source)).await;
        fetched.unwrap_or(Err(FetchError::Timeout(self.timeout)))
    }

    async fn follow(&self, source: &KeySource) -> Result<Bytes, FetchError> {
        let mut source = source.clone();
        for _ in 0..=REDIRECTS_MAX {
            match self.exchange(&source).await? {
                Reply::Document(body) => return Ok(body),
                Reply::Redirect(to) => source = to,
            }
        }
        Err(FetchError::Redirect)
    }

    async fn exchange(&self, source: &KeySource) -> Result<Reply, FetchError> {
        let tcp = TcpStream::connect((source.host(), source.port())).await.map_err(FetchError::Connect)?;
        if !source.tls() {
            return exchange(tcp, source).await;
        }
        let name = ServerName::try_from(source.host().to_owned());
        let name = name.map_err(|error| FetchError::Tls(io::Error::other(error)))?;
        let tls = TlsConnector::from(self.tls()?).connect(name, tcp).await.map_err(FetchError::Tls)?;
        exchange(tls, source).await
    }

    fn tls(&self) -> Result<Arc<ClientConfig>, FetchError> {
        if let Some(config) = self.tls.get() {
            return Ok(config.clone());
        }
        let config = ClientConfig::builder_with_provider(Arc::new(default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|error: rustls::Error| FetchError::Roots(error.into()))?
            .with_root_certificates(roots(self.extra_roots.as_deref())?)
            .with_no_client_auth();
        Ok(self.tls.get_or_init(|| Arc::new(config)).clone())
    }
}

/// The system's roots and those of `extra`. A root of the system that cannot be used is its business.
fn roots(extra: Option<&[u8]>) -> Result<RootCertStore, FetchError> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    for certificate in CertificateDer::pem_slice_iter(extra.unwrap_or_default()) {
        let certificate = certificate.map_err(|error| FetchError::Roots(error.into()))?;
        roots.add(certificate).map_err(|error| FetchError::Roots(error.into()))?;
    }
    Ok(roots)
}

async fn exchange(io: impl AsyncRead + AsyncWrite + Unpin, source: &KeySource) -> Result<Reply, FetchError> {
    let (mut sender, connection) = http1::handshake(TokioIo::new(io)).await.map_err(FetchError::Http)?;
    let request = Request::get(source.target())
        .header(header::HOST, source.authority())
        .header(header::ACCEPT, "application/json")
        .body(Empty::<Bytes>::new())
        .expect("a URL's parts are a request");
    let exchange = async move {
        let response = sender.send_request(request).await.map_err(FetchError::Http)?;
        read(response, source).await
    };
    let (mut connection, mut exchange) = (std::pin::pin!(connection), std::pin::pin!(exchange));
    tokio::select! {
        biased;
        done = &mut exchange => return done,
        // The end of the connection is seen by the exchange too, with what was still buffered.
        _ = &mut connection => {}
    }
    exchange.await
}

async fn read(response: http::Response<Incoming>, source: &KeySource) -> Result<Reply, FetchError> {
    let status = response.status();
    if status.is_redirection() {
        let location = response.headers().get(header::LOCATION).and_then(|location| location.to_str().ok());
        let to = location.and_then(|location| source.redirected(location));
        return to.map(Reply::Redirect).ok_or(FetchError::Redirect);
    }
    if status != StatusCode::OK {
        return Err(FetchError::Status(status));
    }
    let body = Limited::new(response.into_body(), BODY_BYTES_MAX).collect().await;
    body.map(|body| Reply::Document(body.to_bytes())).map_err(|_| FetchError::Body)
}
