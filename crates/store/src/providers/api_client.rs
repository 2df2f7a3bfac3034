//! Calls of the interfaces of providers: small bounded documents, and ranges of files. Owns the connections.
//!
//! Redirects are followed here, one by one: a credential stays with the server that it was given for.

use std::{error::Error, sync::Arc, time::Duration};

use gen_worker_hub::{BearerToken, client::tls_config};
use reqwest::{
    Client, Method, Response, Url,
    header::{self, HeaderMap},
    redirect::Policy,
};
use serde::de::DeserializeOwned;

use super::ProviderError;
use crate::fetch_error::FetchError;

/// What the client calls itself.
const USER_AGENT: &str = concat!("gen-worker/", env!("CARGO_PKG_VERSION"));

/// Redirects of one call: a renamed repository, `www.` in front. More is a circle.
const REDIRECTS_MAX: usize = 5;

/// Largest document: a listing of a hundred thousand files.
const DOCUMENT_BYTES_MAX: usize = 64 * 1024 * 1024;

/// How often a server that asks for patience gets it within one call, and the longest it may ask for.
const WAITS_MAX: usize = 2;
const WAIT_LONGEST: Duration = Duration::from_secs(60);

/// Calls servers. Cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct ApiClient(Client);

/// Why a call gave nothing.
#[derive(Debug)]
pub(super) enum CallError {
    /// Another status than asked for; `code` is what the server calls it in a header of its own.
    Status { status: u16, code: Option<String> },
    /// Too many requests, for so long.
    Limited(Option<Duration>),
    /// No answer.
    Unreachable(Arc<dyn Error + Send + Sync>),
    /// Not what was asked for.
    Strange(&'static str),
}

/// An answer's document, and the address of the next page, when it has one.
pub(super) struct Document<T> {
    pub(super) value: T,
    pub(super) next: Option<Url>,
}

impl ApiClient {
    pub(super) fn new(connect: Duration, call: Duration, extra_roots: Option<&[u8]>) -> Result<Self, FetchError> {
        let tls = tls_config(extra_roots).map_err(|error| FetchError::Setup(Arc::new(error)))?;
        let client = Client::builder()
            .tls_backend_preconfigured(tls)
            .redirect(Policy::none())
            .retry(reqwest::retry::never())
            .no_proxy()
            .referer(false)
            .user_agent(USER_AGENT)
            .connect_timeout(connect)
            .timeout(call)
            .build();
        client.map(Self).map_err(|error| FetchError::Setup(Arc::new(error.without_url())))
    }

    /// The JSON document at `url`.
    pub(super) async fn document<T: DeserializeOwned>(
        &self,
        url: &Url,
        credential: Option<&BearerToken>,
    ) -> Result<Document<T>, CallError> {
        let response = self.answered(Method::GET, url, credential, None).await?;
        let next = next_page(response.url(), response.headers());
        let bytes = body(response, DOCUMENT_BYTES_MAX).await?;
        let value = serde_json::from_slice(&bytes).map_err(|_| CallError::Strange("not the document it should be"))?;
        Ok(Document { value, next })
    }

    /// At most `limit` bytes of the file at `url`, from `from` on.
    pub(super) async fn bytes(
        &self,
        url: &Url,
        credential: Option<&BearerToken>,
        from: u64,
        limit: usize,
    ) -> Result<Vec<u8>, CallError> {
        let last = from.saturating_add(limit as u64).saturating_sub(1);
        let response = self.answered(Method::GET, url, credential, Some(format!("bytes={from}-{last}"))).await?;
        match response.status().as_u16() {
            206 => body(response, limit).await,
            _ if from == 0 => prefix(response, limit).await,
            _ => Err(CallError::Strange("a whole file for a part of it")),
        }
    }

    /// What the server that has the file at `url` says of it, before it sends elsewhere.
    pub(super) async fn head(&self, url: &Url, credential: Option<&BearerToken>) -> Result<HeaderMap, CallError> {
        let response = self.patient(Method::HEAD, url, credential, None, false).await?;
        let status = response.status();
        if status.is_success() || status.is_redirection() {
            return Ok(response.headers().clone());
        }
        Err(refusal(&response))
    }

    async fn answered(
        &self,
        method: Method,
        url: &Url,
        credential: Option<&BearerToken>,
        range: Option<String>,
    ) -> Result<Response, CallError> {
        let response = self.patient(method, url, credential, range, true).await?;
        if response.status().is_success() { Ok(response) } else { Err(refusal(&response)) }
    }

    /// The answer, after the waits that the server asked for.
    async fn patient(
        &self,
        method: Method,
        url: &Url,
        credential: Option<&BearerToken>,
        range: Option<String>,
        leave: bool,
    ) -> Result<Response, CallError> {
        let mut waits = 0;
        loop {
            let response = self.redirected(&method, url, credential, range.as_deref(), leave).await?;
            if response.status().as_u16() != 429 {
                return Ok(response);
            }
            let wait = retry_after(response.headers());
            match wait {
                Some(wait) if waits < WAITS_MAX && wait <= WAIT_LONGEST => tokio::time::sleep(wait).await,
                wait => return Err(CallError::Limited(wait)),
            }
            waits += 1;
        }
    }

    /// The answer at the end of the redirects; with `leave` also those to other servers, without the credential.
    async fn redirected(
        &self,
        method: &Method,
        url: &Url,
        credential: Option<&BearerToken>,
        range: Option<&str>,
        leave: bool,
    ) -> Result<Response, CallError> {
        let (mut url, mut credential) = (url.clone(), credential);
        for _ in 0..=REDIRECTS_MAX {
            let mut request = self.0.request(method.clone(), url.clone()).header(header::ACCEPT_ENCODING, "identity");
            if let Some(credential) = credential {
                request = request.bearer_auth(credential.reveal());
            }
            if let Some(range) = range {
                request = request.header(header::RANGE, range);
            }
            let response =
                request.send().await.map_err(|error| CallError::Unreachable(Arc::new(error.without_url())))?;
            if !matches!(response.status().as_u16(), 301 | 302 | 303 | 307 | 308) {
                return Ok(response);
            }
            let to = response.headers().get(header::LOCATION).and_then(|to| to.to_str().ok());
            let to = to.and_then(|to| url.join(to).ok()).ok_or(CallError::Strange("a redirect to nowhere"))?;
            if !matches!((url.scheme(), to.scheme()), (_, "https") | ("http", "http")) {
                return Err(CallError::Strange("a redirect to a scheme that is not as safe"));
            }
            if to.origin() != url.origin() {
                if !leave {
                    return Ok(response);
                }
                credential = None;
            }
            url = to;
        }
        Err(CallError::Strange("too many redirects"))
    }
}

impl CallError {
    /// What it is when nothing special is known of it.
    pub(super) fn of(self, provider: &'static str) -> ProviderError {
        match self {
            Self::Limited(retry_after) => ProviderError::RateLimited { provider, retry_after },
            Self::Unreachable(source) => ProviderError::Unavailable { provider, source },
            Self::Strange(what) => ProviderError::Strange { provider, what },
            Self::Status { status, .. } if status >= 500 || status == 408 => {
                ProviderError::Unavailable { provider, source: Arc::new(BadStatus(status)) }
            }
            Self::Status { .. } => ProviderError::Strange { provider, what: "a status that says nothing" },
        }
    }
}

/// A server that cannot now.
#[derive(Debug, thiserror::Error)]
#[error("status {0}")]
struct BadStatus(u16);

fn refusal(response: &Response) -> CallError {
    let code = response.headers().get("x-error-code").and_then(|code| code.to_str().ok()).map(str::to_owned);
    CallError::Status { status: response.status().as_u16(), code }
}

/// The seconds that a server asks to wait. Dates are not understood: the clocks may differ.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    headers.get(header::RETRY_AFTER)?.to_str().ok()?.trim().parse().ok().map(Duration::from_secs)
}

/// The address of the page after the one at `url`: the same with another query. A mirror may name the server that it mirrors.
fn next_page(url: &Url, headers: &HeaderMap) -> Option<Url> {
    let links = headers.get(header::LINK)?.to_str().ok()?;
    let next = links.split(',').find(|link| link.contains("rel=\"next\""))?;
    let to = next.split_once('<')?.1.split_once('>')?.0;
    let to = url.join(to).ok()?;
    let mut next = url.clone();
    next.set_query(to.query());
    Some(next)
}

/// All of a body of at most `limit` bytes.
async fn body(response: Response, limit: usize) -> Result<Vec<u8>, CallError> {
    let bytes = prefix(response, limit.saturating_add(1)).await?;
    if bytes.len() > limit { Err(CallError::Strange("more bytes than any such document has")) } else { Ok(bytes) }
}

/// The first `limit` bytes of a body, or all of it.
async fn prefix(mut response: Response, limit: usize) -> Result<Vec<u8>, CallError> {
    let mut bytes = Vec::new();
    let broken = |error: reqwest::Error| CallError::Unreachable(Arc::new(error.without_url()));
    while let Some(piece) = response.chunk().await.map_err(broken)? {
        let rest = limit - bytes.len();
        bytes.extend_from_slice(piece.get(..rest).unwrap_or(&piece));
        if bytes.len() >= limit {
            break;
        }
    }
    Ok(bytes)
}
