//! How requests to a bucket go out: over the connections of the uploader, watched and counted. Owns no state.

use std::{
    fmt,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use futures::future::BoxFuture;
use http_body::{Body, Frame, SizeHint};
use object_store::{
    ClientOptions,
    client::{
        HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpRequestBody, HttpResponse, HttpService,
    },
};
use reqwest::{Client, Request, Response, Url};

use super::pace::{Audience, Pace};

/// Bytes of an answer. Those to writes are short: an ETag, an id, an error.
const ANSWER_BYTES_MAX: usize = 64 * 1024;

/// Sends requests with one client. Whoever listens hears of all bytes that were taken.
#[derive(Clone)]
pub(super) struct BucketHttp {
    pub(super) client: Client,
    /// Time in which the server has to take something, or to answer.
    pub(super) stall: Duration,
    pub(super) audience: Audience,
}

/// A body whose pieces are counted.
struct Counted {
    body: HttpRequestBody,
    pace: Arc<Pace>,
}

/// What no error of a library says.
#[derive(Clone, Copy, Debug, thiserror::Error)]
enum Odd {
    #[error("the server has stalled")]
    Stalled,
    #[error("the server said too much")]
    Endless,
    #[error("the address cannot be asked")]
    Address,
}

impl HttpConnector for BucketHttp {
    fn connect(&self, _options: &ClientOptions) -> object_store::Result<HttpClient> {
        Ok(HttpClient::new(self.clone()))
    }
}

impl HttpService for BucketHttp {
    fn call<'this, 'call>(&'this self, request: HttpRequest) -> BoxFuture<'call, Result<HttpResponse, HttpError>>
    where
        'this: 'call,
        Self: 'call,
    {
        Box::pin(self.exchange(request))
    }
}

impl BucketHttp {
    async fn exchange(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let pace = Arc::new(Pace::new(self.audience.clone()));
        let (head, body) = request.into_parts();
        let url: Url =
            head.uri.to_string().parse().map_err(|_| HttpError::new(HttpErrorKind::Unknown, Odd::Address))?;
        let mut request = Request::new(head.method, url);
        *request.headers_mut() = head.headers;
        *request.body_mut() = Some(reqwest::Body::wrap(Counted { body, pace: pace.clone() }));
        let answered = pace.watch(self.stall, answered(&self.client, request)).await;
        let answer = answered.unwrap_or_else(|| Err(HttpError::new(HttpErrorKind::Timeout, Odd::Stalled)));
        if !answer.as_ref().is_ok_and(|answer| answer.status().is_success()) {
            pace.undo();
        }
        answer
    }
}

async fn answered(client: &Client, request: Request) -> Result<HttpResponse, HttpError> {
    let mut response = client.execute(request).await.map_err(broken)?;
    let body = whole(&mut response).await?;
    let mut answer = HttpResponse::new(body.into());
    *answer.status_mut() = response.status();
    *answer.headers_mut() = std::mem::take(response.headers_mut());
    Ok(answer)
}

async fn whole(response: &mut Response) -> Result<Bytes, HttpError> {
    let mut said = Vec::new();
    while let Some(piece) = response.chunk().await.map_err(broken)? {
        if said.len().saturating_add(piece.len()) > ANSWER_BYTES_MAX {
            return Err(HttpError::new(HttpErrorKind::Decode, Odd::Endless));
        }
        said.extend_from_slice(&piece);
    }
    Ok(said.into())
}

/// All requests here may be repeated, whatever became of them.
fn broken(error: reqwest::Error) -> HttpError {
    let kind = if error.is_connect() { HttpErrorKind::Connect } else { HttpErrorKind::Interrupted };
    HttpError::new(kind, error.without_url())
}

impl Body for Counted {
    type Data = Bytes;
    type Error = HttpError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, HttpError>>> {
        let this = self.get_mut();
        let frame = std::task::ready!(Pin::new(&mut this.body).poll_frame(cx));
        if let Some(Ok(frame)) = &frame {
            this.pace.moved(frame.data_ref().map_or(0, Bytes::len) as u64);
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl fmt::Debug for BucketHttp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BucketHttp").field("stall", &self.stall).finish_non_exhaustive()
    }
}
