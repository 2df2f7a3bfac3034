//! A hub of our own in this process, and the code of the Python peers as its client.

use std::{fs, path::Path, sync::Arc, time::Duration};

use anyhow::{Context, Result};
use axum::Router;
use gen_worker_hub::{
    BearerToken,
    token::{Area, ByteLimits, CapabilityClaims, Grant, Right, Workload},
};
use gen_worker_hubd::{
    Hub, HubOptions, RunningJobs, Visibility, blobs::BlobStore, clock::Clock, metadata::sqlite::SqliteMetadata, router,
    serve, signing::token_signer,
};
use gen_worker_tasks::Scope;
use object_store::{ObjectStore, prefix::PrefixStore};
use serde_json::Value;
use tempfile::TempDir;
use tokio::{net::TcpListener, runtime::Runtime};

use crate::{
    Meeting, Moto, Refusing, Slow,
    hub_peer::{peer_call, succeeded},
};

/// Secret of these hubs.
const SECRET: [u8; 32] = [11; 32];

/// Anonymous resolves of a minute.
pub const RESOLVES_MAX: u32 = 10;

/// Bytes of a part: small, so that a file of a few MiB has several.
pub const PART_BYTES: u64 = 1 << 20;

/// How long a slow hub waits for a finalize before it says that it goes on.
const SLOW_WAIT: Duration = Duration::from_millis(100);

/// What stands in front of a hub.
type Front = Box<dyn FnOnce(Router) -> Router>;

/// A hub on a port of its own. Ends with its guard.
#[derive(Debug)]
pub struct OwnHub {
    /// Its base URL.
    pub url: String,
    scope: Scope,
    hub: Arc<Hub>,
    // After the scope: its tasks run on it.
    runtime: Runtime,
    dir: TempDir,
}

impl OwnHub {
    /// Starts one whose new repositories are like this, on local disk.
    ///
    /// # Errors
    /// When a part of it does not start.
    pub fn start(visibility: Visibility) -> Result<Self> {
        Self::over(local, None, |options| options.visibility = visibility)
    }

    /// Starts one on local disk behind a server that refuses some calls.
    ///
    /// # Errors
    /// When a part of it does not start.
    pub fn start_behind(refusing: &Arc<Refusing>, visibility: Visibility) -> Result<Self> {
        let refusing = Arc::clone(refusing);
        let front: Front = Box::new(move |routes| refusing.before(routes));
        Self::over(local, Some(front), |options| options.visibility = visibility)
    }

    /// Starts one on local disk behind a server that lets some calls through only together.
    ///
    /// # Errors
    /// When a part of it does not start.
    pub fn start_meeting(meeting: Meeting, visibility: Visibility) -> Result<Self> {
        let front: Front = Box::new(move |routes| meeting.before(routes));
        Self::over(local, Some(front), |options| options.visibility = visibility)
    }

    /// Starts one on local disk that renews tokens of the jobs that `jobs` knows.
    ///
    /// # Errors
    /// When a part of it does not start.
    pub fn start_with_jobs(jobs: Arc<dyn RunningJobs>) -> Result<Self> {
        Self::over(local, None, |options| options.jobs = Some(jobs))
    }

    /// Starts one whose bytes are in a bucket.
    ///
    /// # Errors
    /// When a part of it does not start.
    pub fn start_over(objects: Arc<dyn ObjectStore>, visibility: Visibility) -> Result<Self> {
        Self::over(|_, scope| Ok(BlobStore::remote(objects, scope)), None, |options| options.visibility = visibility)
    }

    /// Starts one whose bytes are in a bucket, from which clients read them.
    ///
    /// # Errors
    /// When a part of it does not start.
    pub fn start_beside(moto: &Moto, visibility: Visibility) -> Result<Self> {
        let (bucket, prefix) = (Arc::new(moto.s3()?), "a prefix");
        let objects = Arc::new(PrefixStore::new(Arc::clone(&bucket), prefix));
        let blobs = |_: &Path, scope| Ok(BlobStore::remote(objects, scope).read_directly(bucket, prefix.into()));
        Self::over(blobs, None, |options| options.visibility = visibility)
    }

    /// Starts one that is slow at one call, as `slow` says.
    ///
    /// # Errors
    /// When a part of it does not start.
    pub fn start_slow(slow: &Arc<Slow>, visibility: Visibility) -> Result<Self> {
        let blobs = |_: &Path, scope| Ok(BlobStore::remote(slow.objects(), scope));
        let before = Arc::clone(slow);
        let front: Front = Box::new(move |routes| before.before(routes));
        Self::over(blobs, Some(front), |options| {
            (options.visibility, options.finalize_wait) = (visibility, SLOW_WAIT);
        })
    }

    fn over(
        blobs: impl FnOnce(&Path, Arc<Scope>) -> Result<BlobStore>,
        front: Option<Front>,
        change: impl FnOnce(&mut HubOptions),
    ) -> Result<Self> {
        let dir = tempfile::tempdir().context("make a directory")?;
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
        let scope = Scope::new("hub");
        let blobs = blobs(dir.path(), Arc::new(Scope::under("hub-blobs", scope.cancel())))?;
        let (url, hub) = runtime.block_on(start(dir.path(), blobs, front, change, &scope))?;
        Ok(Self { url, scope, hub, runtime, dir })
    }

    /// Joins the objects of every content that has several, as a hub does by and by.
    ///
    /// # Errors
    /// When one of them cannot be joined.
    pub fn join(&self) -> Result<()> {
        Ok(self.runtime.block_on(self.hub.join_scattered())?)
    }

    /// A token of a job of `tenant` with these grants over everything of their owners.
    ///
    /// # Errors
    /// When a name is none.
    pub fn token(&self, tenant: &str, grants: &[(Area, Right, &str)]) -> Result<BearerToken> {
        self.token_for(tenant, grants, 3600)
    }

    /// The same for so many seconds.
    ///
    /// # Errors
    /// When a name is none.
    pub fn token_for(&self, tenant: &str, grants: &[(Area, Right, &str)], life_s: u64) -> Result<BearerToken> {
        let grants = grants.iter().map(|(area, right, owner)| Grant::new(*area, *right, owner, "*"));
        let now_s = Clock::system().now_s();
        let claims = CapabilityClaims {
            sub: "w1".to_owned(),
            tenant: tenant.to_owned(),
            request_id: "r1".to_owned(),
            attempt: 1,
            kind: Workload::Conversion,
            grants: grants.collect::<Result<_, _>>()?,
            limits: ByteLimits::default(),
            iat: now_s,
            exp: now_s + life_s,
        };
        Ok(token_signer(&SECRET)?.sign(&claims)?)
    }

    /// A token for all that a producing job of `tenant` does.
    ///
    /// # Errors
    /// When the name is none.
    pub fn producer(&self, tenant: &str) -> Result<BearerToken> {
        self.token(tenant, &[Area::Media, Area::Repo, Area::Dataset].map(|area| (area, Right::Write, tenant)))
    }

    /// One call of the peer's code in `version`, whose answer is that of `tests/peer/hub_client.py`. `call` need not name the
    /// hub.
    ///
    /// # Errors
    /// When the peer is not installed, or breaks off without an answer.
    pub fn peer(&self, version: &str, name: &str, call: Value) -> Result<Value> {
        peer_call(version, &self.url, self.dir.path(), name, call)
    }

    /// What such a call answers when it succeeds.
    ///
    /// # Errors
    /// As [`OwnHub::peer`], and when it fails.
    pub fn peer_does(&self, version: &str, name: &str, call: Value) -> Result<Value> {
        succeeded(version, name, self.peer(version, name, call)?)
    }
}

impl Drop for OwnHub {
    fn drop(&mut self) {
        self.scope.cancel().kill();
        self.runtime.block_on(self.scope.join(Duration::from_secs(5)));
    }
}

/// Bytes on local disk.
fn local(dir: &Path, scope: Arc<Scope>) -> Result<BlobStore> {
    let objects = dir.join("objects");
    fs::create_dir_all(&objects)?;
    Ok(BlobStore::local(objects, scope)?)
}

async fn start(
    dir: &Path,
    blobs: BlobStore,
    front: Option<Front>,
    change: impl FnOnce(&mut HubOptions),
    scope: &Scope,
) -> Result<(String, Arc<Hub>)> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("http://{}", listener.local_addr()?);
    let metadata = Arc::new(SqliteMetadata::open(&dir.join("hub.db"), scope)?);
    let mut options = HubOptions::new(url.clone(), SECRET);
    options.part_bytes = PART_BYTES;
    options.anonymous_per_minute = RESOLVES_MAX;
    change(&mut options);
    let hub = Arc::new(Hub::new(metadata, blobs, options)?);
    hub.recover().await?;
    let (cancel, served) = (scope.cancel().clone(), Arc::clone(&hub));
    match front {
        Some(front) => {
            let routes = front(router(served));
            scope.spawn("serve", async move {
                tokio::select! {
                    ended = axum::serve(listener, routes) => drop(ended),
                    () = cancel.stopped() => {}
                }
            })
        }
        None => scope.spawn("serve", async move { serve(listener, served, Duration::from_secs(1), &cancel).await }),
    };
    Ok((url, hub))
}
