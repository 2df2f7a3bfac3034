//! The HTTP client of transfers.

use std::{fmt, sync::Arc};

use gen_worker_hub::{SignedUrl, client::tls_config};
use reqwest::{Client, RequestBuilder, Response, header, redirect};

use super::options::TransferOptions;
use crate::{bucket_object, fetch_error::FetchError, wanted::Credential};

/// What the client calls itself.
const USER_AGENT: &str = concat!("gen-worker/", env!("CARGO_PKG_VERSION"));

/// A hub sends to a bucket, a bucket to its region: more is a circle.
const REDIRECTS_MAX: usize = 5;

/// Connections to all servers. Cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct Transport {
    client: Client,
    /// Follows no redirect: a signed request goes where its grant says, or nowhere.
    signed: Client,
}

/// A transport failure without addresses in it: they may be signed ones.
pub(super) type Cause = Arc<dyn std::error::Error + Send + Sync>;

/// A redirect that is not followed.
#[derive(Clone, Copy, Debug, thiserror::Error)]
enum Redirect {
    #[error("too many redirects")]
    TooMany,
    #[error("redirect to a scheme that is not as safe")]
    Unsafe,
}

impl Transport {
    pub(super) fn new(options: &TransferOptions) -> Result<Self, FetchError> {
        let tls = tls_config(options.extra_roots.as_deref()).map_err(|error| FetchError::Setup(Arc::new(error)))?;
        let client = |redirects| {
            let client = Client::builder()
                .tls_backend_preconfigured(tls.clone())
                .redirect(redirects)
                .retry(reqwest::retry::never())
                .no_proxy()
                .referer(false)
                .user_agent(USER_AGENT)
                .connect_timeout(options.connect)
                .pool_max_idle_per_host(options.sockets)
                // One connection per file: multiplexed files would share one window.
                .http1_only()
                .build();
            client.map_err(|error| FetchError::Setup(Arc::new(error.without_url())))
        };
        Ok(Self { client: client(redirect::Policy::custom(follow))?, signed: client(redirect::Policy::none())? })
    }

    /// Asks for `url` from byte `from` on. `credential` goes to the server of `url` and no other: it is dropped where a
    /// redirect leads to another.
    pub(super) async fn get(
        &self,
        url: &SignedUrl,
        credential: Option<&Credential>,
        from: u64,
    ) -> Result<Response, Cause> {
        let request = match credential {
            Some(Credential::Grant(grant)) => {
                let headers = bucket_object::signed(grant, url, from).map_err(|error| Arc::new(error) as Cause)?;
                self.signed.get(url.reveal()).headers(headers)
            }
            Some(Credential::Bearer(token)) => ranged(self.client.get(url.reveal()), from).bearer_auth(token.reveal()),
            None => ranged(self.client.get(url.reveal()), from),
        };
        request.header(header::ACCEPT_ENCODING, "identity").send().await.map_err(cause)
    }
}

fn ranged(request: RequestBuilder, from: u64) -> RequestBuilder {
    if from > 0 { request.header(header::RANGE, format!("bytes={from}-")) } else { request }
}

/// The failure as it may be shown.
pub(super) fn cause(error: reqwest::Error) -> Cause {
    Arc::new(error.without_url())
}

fn follow(attempt: redirect::Attempt<'_>) -> redirect::Action {
    if attempt.previous().len() > REDIRECTS_MAX {
        return attempt.error(Redirect::TooMany);
    }
    let was_safe = attempt.previous().last().is_some_and(|url| url.scheme() == "https");
    match attempt.url().scheme() {
        "https" => attempt.follow(),
        "http" if !was_safe => attempt.follow(),
        _ => attempt.error(Redirect::Unsafe),
    }
}

/// What a transfer failed of when no error of a library says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Odd {
    /// Too little came for too long.
    Stalled,
    /// The server cannot now.
    Status(u16),
    /// The body ended before the file did.
    EndedEarly,
}

impl fmt::Display for Odd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stalled => f.write_str("the server has stalled"),
            Self::Status(status) => write!(f, "the server answered with status {status}"),
            Self::EndedEarly => f.write_str("the body ended early"),
        }
    }
}

impl std::error::Error for Odd {}
