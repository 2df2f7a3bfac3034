//! The connections of one process. Each has a task of its own, in the scope of the store.

use std::{fmt, sync::Arc, time::Duration};

use deadpool::{
    Runtime,
    managed::{self, Metrics, Object, PoolConfig, PoolError, RecycleError, RecycleResult, Timeouts},
};
use futures::FutureExt as _;
use gen_worker_tasks::Scope;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_postgres::{Client, Config, Connection, NoTls};

use super::tls::Tls;
use crate::metadata::MetadataError;

/// How long a call waits for a connection that others use.
const WAIT: Duration = Duration::from_secs(10);

/// How long the server may take to accept a connection.
const CONNECT: Duration = Duration::from_secs(5);

/// After how long a silence the system asks whether the server is still there.
const ALIVE: Duration = Duration::from_secs(30);

/// The connections.
#[derive(Clone, Debug)]
pub(super) struct Pool(managed::Pool<Manager>);

/// Makes connections.
pub(super) struct Manager {
    config: Config,
    tls: Option<Tls>,
    scope: Arc<Scope>,
}

impl Pool {
    /// At most `connections` at once. None is made before one is needed.
    pub(super) fn new(mut config: Config, tls: Option<Tls>, scope: Arc<Scope>, connections: usize) -> Self {
        config.application_name("gen-worker hub").connect_timeout(CONNECT);
        config.keepalives_idle(ALIVE).keepalives_interval(ALIVE / 3).tcp_user_timeout(2 * ALIVE);
        let timeouts = Timeouts { wait: Some(WAIT), create: Some(2 * CONNECT), recycle: Some(CONNECT) };
        let settings = PoolConfig { timeouts, ..PoolConfig::new(connections) };
        let pool = managed::Pool::builder(Manager { config, tls, scope }).config(settings).runtime(Runtime::Tokio1);
        Self(pool.build().expect("timeouts have the runtime that they need"))
    }

    /// A connection that nobody else uses.
    pub(super) async fn connection(&self) -> Result<Object<Manager>, MetadataError> {
        self.0.get().await.map_err(|error| {
            let source: Box<dyn std::error::Error + Send + Sync> = match error {
                PoolError::Backend(error) => Box::new(error),
                // It has no source of its own, and says how long was waited for what.
                other => other.to_string().into(),
            };
            MetadataError::Unavailable { operation: "connect to the database", source }
        })
    }
}

impl managed::Manager for Manager {
    type Type = Client;
    type Error = tokio_postgres::Error;

    async fn create(&self) -> Result<Client, Self::Error> {
        match &self.tls {
            Some(tls) => {
                let (client, connection) = self.config.connect(tls.clone()).await?;
                self.run(connection);
                Ok(client)
            }
            None => {
                let (client, connection) = self.config.connect(NoTls).await?;
                self.run(connection);
                Ok(client)
            }
        }
    }

    async fn recycle(&self, client: &mut Client, _metrics: &Metrics) -> RecycleResult<Self::Error> {
        if client.is_closed() { Err(RecycleError::message("the connection is closed")) } else { Ok(()) }
    }
}

impl Manager {
    fn run<S, T>(&self, connection: Connection<S, T>)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
        T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        self.scope.spawn(
            "hub-database",
            connection.map(|ended| {
                if let Err(error) = ended {
                    // Whoever used it hears of it.
                    tracing::debug!(%error, "a connection to the database ended");
                }
            }),
        );
    }
}

impl fmt::Debug for Manager {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Manager").finish_non_exhaustive()
    }
}
