//! A hub inside this process: its stores, its secret, and the tidying beside it. Owns the tasks of both.

use std::{path::PathBuf, sync::Arc, time::Duration};

use gen_worker_hub::token::TokenSigner;
use gen_worker_hubd::{
    Hub, HubOptions, Visibility,
    signing::{SECRET_BYTES, token_signer},
};
use gen_worker_tasks::Scope;
use tracing::info;

use super::{directory::Directory, stores::Stores};
use crate::exit::{Failure, chain};

/// How long the stores may take to finish what they are at.
const CLOSE_LIMIT: Duration = Duration::from_secs(10);

/// How a hub behaves.
#[derive(Debug)]
pub(crate) struct HubSettings {
    /// Where clients find it.
    pub(crate) public_url: String,
    /// Where what it has is.
    pub(crate) stores: Stores,
    /// File with its secret, when that is not in its directory.
    pub(crate) secret_file: Option<PathBuf>,
    /// Files with tokens; none makes one.
    pub(crate) token_files: Vec<PathBuf>,
    /// New repositories.
    pub(crate) visibility: Visibility,
    /// Resolves without a token in a minute.
    pub(crate) anonymous_per_minute: u32,
    /// Bytes of a part.
    pub(crate) part_bytes: u64,
    /// When what nobody needs is removed.
    pub(crate) tidy: Tidy,
}

/// When what nobody needs is removed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Tidy {
    /// Rest between two rounds.
    pub(crate) every: Duration,
    /// How long content stays that nothing names any more.
    pub(crate) unused_grace: Duration,
}

impl Default for Tidy {
    /// As a hub by itself.
    fn default() -> Self {
        Self { every: gen_worker_hubd::TIDY_EVERY, unused_grace: gen_worker_hubd::UNUSED_GRACE }
    }
}

/// A running hub; who serves it is another matter.
#[derive(Debug)]
pub(crate) struct LocalHub {
    hub: Arc<Hub>,
    secret: [u8; SECRET_BYTES],
    scope: Arc<Scope>,
    /// Held to the end: the stores are this process's.
    _directory: Directory,
}

impl LocalHub {
    /// Opens the stores and removes what an earlier process left.
    ///
    /// # Errors
    /// Settings that make no hub (exit 2), stores that cannot be used (exit 1).
    pub(crate) async fn open(directory: Directory, settings: HubSettings) -> Result<Self, Failure> {
        let scope = Arc::new(Scope::new("hub"));
        let secret = directory.secret(settings.secret_file.as_deref())?;
        let options = HubOptions {
            operators: directory.tokens(&settings.token_files)?,
            visibility: settings.visibility,
            anonymous_per_minute: settings.anonymous_per_minute,
            part_bytes: settings.part_bytes,
            tidy_every: settings.tidy.every,
            unused_grace: settings.tidy.unused_grace,
            ..HubOptions::new(settings.public_url, secret)
        };
        let metadata = settings.stores.metadata(&directory, &scope).await?;
        let blobs = settings.stores.blobs(&directory, &scope, &secret, metadata.as_ref()).await?;
        let hub = Hub::new(metadata, blobs, options).map_err(|error| Failure::usage(chain(&error)))?;
        hub.recover().await.map_err(|error| Failure::failed(chain(&error)))?;
        let hub = Arc::new(hub);
        let (tidied, cancel) = (Arc::clone(&hub), scope.cancel().clone());
        scope.spawn("tidy", async move { tidied.run(&cancel).await });
        Ok(Self { hub, secret, scope, _directory: directory })
    }

    /// The hub.
    pub(crate) fn hub(&self) -> &Arc<Hub> {
        &self.hub
    }

    /// Signs tokens that it takes.
    ///
    /// # Errors
    /// Never in practice: the secret has the right length.
    pub(crate) fn signer(&self) -> Result<TokenSigner, Failure> {
        token_signer(&self.secret).map_err(|error| Failure::failed(chain(&error)))
    }

    /// Ends what runs beside it. Nobody serves it any more.
    pub(crate) async fn close(self) {
        let Self { hub, scope, .. } = self;
        scope.cancel().stop();
        // The threads or connections of the metadata end with their last user.
        drop(hub);
        scope.join(CLOSE_LIMIT).await;
        info!("hub is closed");
    }
}
