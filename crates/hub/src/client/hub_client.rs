//! The client itself: an address, a token, and a pool of connections.

use std::{fmt, time::Duration};

use super::{
    error::HubError,
    options::{HubClientOptions, HubTiming},
    tls,
};
use crate::secret::{BearerToken, SignedUrl};

/// What the client calls itself.
const USER_AGENT: &str = concat!("gen-worker/", env!("CARGO_PKG_VERSION"));

/// Probes of idle connections: a finalize may say nothing for minutes (Hub contract, 6.9).
const KEEPALIVE_IDLE: Duration = Duration::from_secs(60);
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(30);
const KEEPALIVE_PROBES: u32 = 20;

/// Idle connections that are kept: as many as files are fetched at once.
const IDLE_CONNECTIONS_MAX: usize = 8;

/// Speaks to one hub. Cheap to clone; clones share connections.
#[derive(Clone)]
pub struct HubClient {
    http: reqwest::Client,
    base: String,
    token: Option<BearerToken>,
    owner: Option<String>,
    timing: HubTiming,
}

impl HubClient {
    /// A client that has not connected yet.
    ///
    /// # Errors
    /// [`HubError::NoBaseUrl`], [`HubError::BaseUrl`] and [`HubError::Roots`], before any socket is opened.
    pub fn new(options: HubClientOptions) -> Result<Self, HubError> {
        let HubClientOptions { base_url, token, owner, extra_roots, timing } = options;
        let base = base_url.trim().trim_end_matches('/');
        if base.is_empty() {
            return Err(HubError::NoBaseUrl);
        }
        let address: SignedUrl = base.parse().map_err(HubError::BaseUrl)?;
        if address.without_query() != base {
            return Err(HubError::BaseUrl(crate::secret::SecretError::Character));
        }
        let http = reqwest::Client::builder()
            .tls_backend_preconfigured(tls::config(extra_roots.as_deref())?)
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .no_proxy()
            .referer(false)
            .user_agent(USER_AGENT)
            .connect_timeout(timing.connect)
            .tcp_keepalive(KEEPALIVE_IDLE)
            .tcp_keepalive_interval(KEEPALIVE_INTERVAL)
            .tcp_keepalive_retries(KEEPALIVE_PROBES)
            .pool_max_idle_per_host(IDLE_CONNECTIONS_MAX)
            .build()
            .map_err(HubError::Setup)?;
        Ok(Self { http, base: base.to_owned(), token, owner: owner.filter(|owner| !owner.is_empty()), timing })
    }

    /// The same client with another token: after a renewal, or for another job.
    #[must_use]
    pub fn with_token(&self, token: Option<BearerToken>) -> Self {
        Self { token, ..self.clone() }
    }

    /// The same client for files of another tenant.
    #[must_use]
    pub fn with_owner(&self, owner: &str) -> Self {
        Self { owner: Some(owner.to_owned()).filter(|owner| !owner.is_empty()), ..self.clone() }
    }

    pub(super) fn http(&self) -> &reqwest::Client {
        &self.http
    }

    pub(super) fn base(&self) -> &str {
        &self.base
    }

    pub(super) fn token(&self) -> Option<&BearerToken> {
        self.token.as_ref()
    }

    pub(super) fn owner(&self) -> Option<&str> {
        self.owner.as_deref()
    }

    pub(super) fn timing(&self) -> &HubTiming {
        &self.timing
    }
}

impl fmt::Debug for HubClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HubClient").field("base", &self.base).field("owner", &self.owner).finish_non_exhaustive()
    }
}
