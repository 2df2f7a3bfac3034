//! The orchestrator as one component: listeners, pool, API, and their end in order. Owns nothing but the scopes of
//! its parts.
//!
//! ```text
//! start:  bind both addresses -> read the store back -> pool -> wire, API
//! stop:   API (replies under way finish) -> pool (streams end, decisions are written) -> wire -> store
//! ```

use std::{
    io,
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use gen_worker_tasks::{JoinOutcome, OnError, Scope};
use tokio::net::TcpListener;
use tracing::{info, warn};

use crate::{
    api,
    pool::{self, Handle, RecoverError},
    queue::Queue,
    session::{OpenGate, WorkerVerifier},
    wire,
};

/// Settings of an orchestrator.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where clients connect; port 0 takes a free one.
    pub http: SocketAddr,
    /// Where workers connect; port 0 takes a free one.
    pub wire: SocketAddr,
    /// The API.
    pub api: api::Options,
    /// The pool. An empty `file_base_url` becomes the HTTP address.
    pub pool: pool::Options,
    /// Who may connect as a worker. [`OpenGate`] believes everybody and is for one's own machine.
    pub workers: Arc<dyn WorkerVerifier>,
}

impl Default for Options {
    /// Free loopback ports, workers believed, the API closed until it is given tokens.
    fn default() -> Self {
        let loopback = SocketAddr::from(([127, 0, 0, 1], 0));
        Self {
            http: loopback,
            wire: loopback,
            api: api::Options::default(),
            pool: pool::Options { file_base_url: String::new(), ..pool::Options::default() },
            workers: Arc::new(OpenGate),
        }
    }
}

/// Why an orchestrator did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// An address cannot be listened on: taken, or not of this machine.
    #[error("could not listen on {address} for {purpose}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// `clients` or `workers`.
        purpose: &'static str,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The store cannot be read.
    #[error(transparent)]
    Recover(#[from] RecoverError),
}

/// A running orchestrator. Dropping it ends everything where it stands; [`Running::shut_down`] ends it in order.
#[derive(Debug)]
pub struct Running {
    http: SocketAddr,
    wire: SocketAddr,
    handle: Handle,
    store: Arc<dyn Queue>,
    scopes: Scopes,
}

#[derive(Debug)]
struct Scopes {
    api: Scope,
    pool: Scope,
    wire: Scope,
    sessions: Arc<Scope>,
}

/// Both listeners, before anything is served: who needs the addresses for the options gets them here.
#[derive(Debug)]
pub struct Bound {
    http: (TcpListener, SocketAddr),
    wire: (TcpListener, SocketAddr),
}

impl Bound {
    /// Takes both addresses.
    ///
    /// # Errors
    /// When one is taken.
    pub async fn bind(http: SocketAddr, wire: SocketAddr) -> Result<Self, StartError> {
        Ok(Self { http: listen(http, "clients").await?, wire: listen(wire, "workers").await? })
    }

    /// Where clients will connect.
    #[must_use]
    pub fn http_addr(&self) -> SocketAddr {
        self.http.1
    }
}

/// Starts an orchestrator on a store. Both addresses accept connections when this returns, and requests that the
/// store holds unfinished are live.
///
/// # Errors
/// When an address is taken or the store cannot be read. Nothing runs then.
pub async fn start(options: Options, store: Arc<dyn Queue>) -> Result<Running, StartError> {
    let bound = Bound::bind(options.http, options.wire).await?;
    start_on(bound, options, store).await
}

/// [`start`] on listeners that are there already; the addresses of the options do not count.
///
/// # Errors
/// When the store cannot be read. Nothing runs then.
pub async fn start_on(bound: Bound, options: Options, store: Arc<dyn Queue>) -> Result<Running, StartError> {
    let Bound { http: (http_listener, http), wire: (wire_listener, wire) } = bound;
    let mut pool_options = options.pool;
    if pool_options.file_base_url.is_empty() {
        pool_options.file_base_url = format!("http://{http}");
    }
    let scopes = Scopes {
        api: Scope::new("api"),
        pool: Scope::new("pool"),
        wire: Scope::new("wire"),
        sessions: Arc::new(Scope::new("sessions")),
    };
    let handle = pool::start(pool_options, Arc::clone(&store), &scopes.pool).await?;
    let server = wire::serve(
        wire_listener,
        handle.clone(),
        Arc::clone(&options.workers),
        Arc::clone(&scopes.sessions),
        scopes.wire.cancel().clone(),
    );
    scopes.wire.spawn_fallible("wire server", OnError::Stop, async move { Ok(server.await?) });
    let mut api_options = options.api;
    api_options.workers = options.workers;
    let (api_handle, api_cancel) = (handle.clone(), scopes.api.cancel().clone());
    scopes.api.spawn("http server", async move {
        api::serve(http_listener, api_handle, api_options, &api_cancel).await;
    });
    info!(%http, %wire, "orchestrator is up");
    Ok(Running { http, wire, handle, store, scopes })
}

async fn listen(address: SocketAddr, purpose: &'static str) -> Result<(TcpListener, SocketAddr), StartError> {
    let failed = |source| StartError::Listen { address, purpose, source };
    let listener = TcpListener::bind(address).await.map_err(failed)?;
    let bound = listener.local_addr().map_err(failed)?;
    Ok((listener, bound))
}

impl Running {
    /// Where clients connect.
    #[must_use]
    pub fn http_addr(&self) -> SocketAddr {
        self.http
    }

    /// Where workers connect.
    #[must_use]
    pub fn wire_addr(&self) -> SocketAddr {
        self.wire
    }

    /// Calls into the pool.
    #[must_use]
    pub fn handle(&self) -> &Handle {
        &self.handle
    }

    /// Completes when a part that nothing works without has failed; the cause is in the log.
    ///
    /// # Cancel safety
    /// Holds no state.
    pub async fn failed(&self) {
        tokio::select! {
            () = self.scopes.pool.cancel().stopped() => {}
            () = self.scopes.wire.cancel().stopped() => {}
        }
    }

    /// Ends in order, within `limit` in all: no new requests, replies under way, worker streams, what was decided
    /// onto the disk, the store. A stage that does not make it is cut off. Jobs on workers go on; their results are
    /// taken by the next process.
    pub async fn shut_down(self, limit: Duration) {
        let deadline = Instant::now() + limit;
        let Scopes { api, pool, wire, sessions } = self.scopes;
        // Half of the time at most goes to clients, so that the disk gets its share.
        stage("api", &api, Instant::now() + limit / 2).await;
        stage("pool", &pool, deadline).await;
        stage("wire", &wire, deadline).await;
        stage("sessions", &sessions, deadline).await;
        match tokio::time::timeout_at(deadline.into(), self.store.close()).await {
            Ok(Ok(())) => info!(stage = "store", outcome = "completed", "shutdown"),
            Ok(Err(error)) => warn!(stage = "store", outcome = "failed", %error, "shutdown"),
            Err(_) => warn!(stage = "store", outcome = "timed_out", "shutdown"),
        }
    }
}

async fn stage(name: &'static str, scope: &Scope, deadline: Instant) {
    scope.cancel().stop();
    match scope.join(deadline.saturating_duration_since(Instant::now())).await {
        JoinOutcome::Completed => info!(stage = name, outcome = "completed", "shutdown"),
        JoinOutcome::TimedOut => warn!(stage = name, outcome = "timed_out", "shutdown"),
    }
}

#[cfg(test)]
mod tests;
