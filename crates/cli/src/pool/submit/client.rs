//! HTTP to the orchestrator: one connection per exchange, driven by the exchange itself, so that nothing runs on
//! when the command ends.

use std::{future::Future, time::Duration};

use bytes::Bytes;
use http::{HeaderValue, Method, Request, StatusCode, header};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::{body::Incoming, client::conn::http1};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpStream;

use super::url::ApiUrl;
use crate::exit::{Exit, Failure};

/// How long a connection may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Largest reply that is read whole, in bytes: an output that a worker sends inline, encoded as JSON, stays far
/// below.
const REPLY_BYTES_MAX: usize = 64 * 1024 * 1024;

/// A client of one orchestrator. Holds no connection.
#[derive(Debug)]
pub(super) struct Client {
    url: ApiUrl,
    bearer: Option<HeaderValue>,
}

/// A reply that was read whole.
#[derive(Debug)]
pub(super) struct Reply {
    /// Its status.
    pub(super) status: StatusCode,
    /// Its body; `null` when it is not JSON.
    pub(super) body: Value,
}

impl Client {
    /// A client for `url`, with a bearer token if there is one.
    ///
    /// # Errors
    /// When the token cannot stand in a header.
    pub(super) fn new(url: ApiUrl, token: Option<&str>) -> Result<Self, Failure> {
        let header = |token: &str| {
            let mut value = HeaderValue::try_from(format!("Bearer {token}")).ok()?;
            value.set_sensitive(true);
            Some(value)
        };
        let bearer = match token {
            Some(token) => Some(header(token).ok_or_else(|| Failure::usage("the token is not printable text"))?),
            None => None,
        };
        Ok(Self { url, bearer })
    }

    /// Sends a request and reads its JSON reply.
    ///
    /// # Errors
    /// When the orchestrator cannot be reached or breaks off.
    pub(super) async fn exchange(&self, method: Method, path: &str, body: Option<&Value>) -> Result<Reply, Failure> {
        self.with_response(method, path, "application/json", &[], body, |status, incoming| async move {
            let whole = Limited::new(incoming, REPLY_BYTES_MAX).collect().await;
            let whole = whole.map_err(|error| Failure::usage(format!("broken reply: {error}")))?.to_bytes();
            Ok(Reply { status, body: serde_json::from_slice(&whole).unwrap_or(Value::Null) })
        })
        .await
    }

    /// Sends a request and hands its response to `read`, while the connection is driven.
    ///
    /// # Errors
    /// When the orchestrator cannot be reached, breaks off before the response, or `read` fails.
    pub(super) async fn with_response<T, R>(
        &self,
        method: Method,
        path: &str,
        accept: &'static str,
        headers: &[(header::HeaderName, HeaderValue)],
        body: Option<&Value>,
        read: impl FnOnce(StatusCode, Incoming) -> R,
    ) -> Result<T, Failure>
    where
        R: Future<Output = Result<T, Failure>>,
    {
        let request = self.request(method, path, accept, headers, body)?;
        let stream = self.connect().await?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(broken)?;
        let exchange = async move {
            let response = sender.send_request(request).await.map_err(broken)?;
            let status = response.status();
            read(status, response.into_body()).await
        };
        let mut connection = std::pin::pin!(connection);
        let mut exchange = std::pin::pin!(exchange);
        tokio::select! {
            biased;
            done = &mut exchange => return done,
            // The end of the connection is seen by the exchange too, with what was still buffered.
            _ = &mut connection => {}
        }
        exchange.await
    }

    fn request(
        &self,
        method: Method,
        path: &str,
        accept: &'static str,
        headers: &[(header::HeaderName, HeaderValue)],
        body: Option<&Value>,
    ) -> Result<Request<Full<Bytes>>, Failure> {
        let mut request = Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.url.prefix))
            .header(header::HOST, &self.url.authority)
            .header(header::ACCEPT, accept);
        for (name, value) in headers {
            request = request.header(name, value);
        }
        if let Some(bearer) = &self.bearer {
            request = request.header(header::AUTHORIZATION, bearer);
        }
        let mut bytes = Bytes::new();
        if let Some(body) = body {
            request = request.header(header::CONTENT_TYPE, "application/json");
            bytes = body.to_string().into();
        }
        request.body(Full::new(bytes)).map_err(|error| Failure::usage(format!("cannot be a request: {error}")))
    }

    async fn connect(&self) -> Result<TcpStream, Failure> {
        let dial = tokio::time::timeout(CONNECT_TIMEOUT, TcpStream::connect(&self.url.dial)).await;
        let stream = match dial {
            Ok(Ok(stream)) => stream,
            Ok(Err(error)) => return Err(self.unreachable(&error.to_string())),
            Err(_) => return Err(self.unreachable("no answer within 10 s")),
        };
        // Small requests wait for nothing.
        drop(stream.set_nodelay(true));
        Ok(stream)
    }

    fn unreachable(&self, why: &str) -> Failure {
        let address = &self.url.authority;
        Failure::usage(format!(
            "could not connect to the orchestrator at {address}: {why} (is `gen-worker up` running?)"
        ))
    }
}

/// The orchestrator broke off: nobody knows what came of the request.
fn broken(error: hyper::Error) -> Failure {
    Failure::new(Exit::Usage, format!("the orchestrator broke off: {error}"))
}
