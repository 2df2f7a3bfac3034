//! The orchestrator inside this process: what `up` was asked for as its options, and its failures as ours.

use std::{fs, net::SocketAddr, path::Path, sync::Arc, time::Duration};

use gen_worker_orchestrator::{
    api,
    orchestrator::{self, Bound, Options, Running, StartError},
    pool::{FunctionManifest, PoolError},
    queue::{
        Queue,
        memory::{self, MemoryQueue},
        sqlite::{self, SqliteQueue},
    },
};
use tracing::warn;

use super::{hub::PoolHub, plan::Plan};
use crate::{
    exit::{Failure, chain},
    hub::local_url,
};

/// How long replies under way, decisions and the store may take once the workers are gone.
const STOP_LIMIT: Duration = Duration::from_secs(15);

/// A running orchestrator, and the hub beside it.
pub(super) struct Pool {
    running: Running,
    hub: PoolHub,
    url: String,
}

impl Pool {
    /// Starts it. Nothing is left behind when that fails.
    ///
    /// # Errors
    /// A port that is taken, or a queue file that cannot be used (exit 1).
    pub(super) async fn start(plan: &Plan) -> Result<Self, Failure> {
        let failed = |error: StartError| Failure::failed(chain(&error));
        let bound = Bound::bind(plan.listen, plan.wire_listen).await.map_err(failed)?;
        let url = plan.public_url.clone().unwrap_or_else(|| local_url(bound.http_addr()));
        let hub = PoolHub::open(plan.hub.as_deref(), &url).await?;
        let store = open(plan.db.as_deref(), plan.history).await?;
        let mut options = Options {
            api: api::Options {
                access: api::Access::Dev,
                beside: Some(gen_worker_hubd::router(Arc::clone(hub.local().hub()))),
                ..api::Options::default()
            },
            ..Options::default()
        };
        options.pool.reconnect_window = plan.reconnect_window;
        options.pool.file_base_url.clone_from(&url);
        options.pool.hub = Arc::new(hub.access()?);
        let running = orchestrator::start_on(bound, options, store).await.map_err(failed)?;
        let pool = Self { running, hub, url };
        warn!("no authentication: everybody who can reach http://{} is tenant dev", pool.http());
        Ok(pool)
    }

    /// Where the HTTP API listens.
    pub(super) fn http(&self) -> SocketAddr {
        self.running.http_addr()
    }

    /// Where workers connect.
    pub(super) fn wire(&self) -> SocketAddr {
        self.running.wire_addr()
    }

    /// Where the hub is found.
    pub(super) fn hub_url(&self) -> &str {
        &self.url
    }

    /// Where the hub keeps what it has.
    pub(super) fn hub_directory(&self) -> &Path {
        self.hub.directory()
    }

    /// Whether every one of these workers is connected and ready.
    pub(super) fn has_ready<'a>(&self, mut ids: impl Iterator<Item = &'a str>) -> bool {
        let workers = self.running.handle().workers();
        ids.all(|id| workers.iter().any(|view| view.worker_id == id && view.connected && view.phase == "ready"))
    }

    /// Tells it what endpoints say about their functions.
    ///
    /// # Errors
    /// When it is closed.
    pub(super) async fn describe(&self, manifests: Vec<FunctionManifest>) -> Result<(), PoolError> {
        self.running.handle().describe(manifests).await
    }

    /// Completes when it cannot go on.
    pub(super) async fn failed(&self) -> Failure {
        self.running.failed().await;
        Failure::failed("the orchestrator failed; it said why above")
    }

    /// Stops it in order.
    pub(super) async fn stop(self) {
        let Self { running, hub, .. } = self;
        running.shut_down(STOP_LIMIT).await;
        hub.close().await;
    }
}

async fn open(db: Option<&Path>, history_kept: Option<Duration>) -> Result<Arc<dyn Queue>, Failure> {
    let Some(path) = db else { return Ok(Arc::new(MemoryQueue::new(memory::Options::default()))) };
    if let Some(parent) = path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        let made = fs::create_dir_all(parent);
        made.map_err(|error| Failure::failed(format!("queue directory {}: {error}", parent.display())))?;
    }
    let options = sqlite::Options { path: path.to_owned(), size_bytes_max: None, history_kept };
    let queue = SqliteQueue::open(options).await.map_err(|error| Failure::failed(chain(&error)))?;
    Ok(Arc::new(queue))
}
