//! The connections of one upload: nothing of them is shared with another (Hub contract, 4.11).

use std::{any::Any, error::Error, sync::Arc};

use gen_worker_hub::client::tls_config;
use parking_lot::Mutex;
use reqwest::{Client, redirect};

use super::{error::UploadError, options::UploadOptions};
use crate::input::{AddressRule, CheckedNames};

/// What the client calls itself.
const USER_AGENT: &str = concat!("gen-worker/", env!("CARGO_PKG_VERSION"));

/// Makes clients that share trusted roots and nothing else.
#[derive(Clone)]
pub(super) struct ConnectionMaker(Arc<dyn Fn() -> Result<Client, UploadError> + Send + Sync>);

/// Kept connections for first attempts, fresh ones for others.
pub(super) struct PartConnections {
    maker: ConnectionMaker,
    kept: Mutex<Option<Client>>,
}

impl ConnectionMaker {
    /// One for addresses that a hub gives, and one for those that strangers choose.
    pub(super) fn pair(options: &UploadOptions) -> Result<(Self, Self), UploadError> {
        let tls = tls_config(options.extra_roots.as_deref()).map_err(setup)?;
        Ok((Self::of(options, tls.clone(), AddressRule::Any), Self::of(options, tls, options.outside)))
    }

    fn of(options: &UploadOptions, tls: impl Any + Clone + Send + Sync, rule: AddressRule) -> Self {
        let (connect, idle) = (options.part_connect, options.open_per_file());
        Self(Arc::new(move || {
            let builder = Client::builder()
                .tls_backend_preconfigured(tls.clone())
                .dns_resolver(Arc::new(CheckedNames(rule)))
                // A part goes where its address says, or nowhere.
                .redirect(redirect::Policy::none())
                .retry(reqwest::retry::never())
                .no_proxy()
                .referer(false)
                .user_agent(USER_AGENT)
                .connect_timeout(connect)
                .pool_max_idle_per_host(idle)
                // One connection per part: multiplexed parts would share one window.
                .http1_only();
            builder.build().map_err(|error| setup(error.without_url()))
        }))
    }

    /// A client that shares no connection with another.
    pub(super) fn client(&self) -> Result<Client, UploadError> {
        (self.0)()
    }

    pub(super) fn connections(&self) -> Arc<PartConnections> {
        Arc::new(PartConnections { maker: self.clone(), kept: Mutex::new(None) })
    }
}

impl PartConnections {
    /// Connections of earlier parts, as long as none of them broke.
    pub(super) fn kept(&self) -> Result<Client, UploadError> {
        let mut kept = self.kept.lock();
        match &*kept {
            Some(client) => Ok(client.clone()),
            None => Ok(kept.insert(self.maker.client()?).clone()),
        }
    }

    /// A connection that nobody has used.
    pub(super) fn fresh(&self) -> Result<Client, UploadError> {
        self.maker.client()
    }

    /// One of them broke: the others may lead to the same dead end.
    pub(super) fn forget(&self) {
        *self.kept.lock() = None;
    }
}

fn setup(error: impl Error + Send + Sync + 'static) -> UploadError {
    UploadError::Setup(Box::new(error))
}
