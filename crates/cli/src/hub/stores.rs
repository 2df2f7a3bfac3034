//! Where a hub keeps what it has: in its directory, or in a database and a bucket that several processes share.

use std::{fmt, sync::Arc};

use gen_worker_hub::client::tls_config;
use gen_worker_hubd::{
    blobs::BlobStore,
    metadata::{
        Metadata,
        postgres::{PostgresMetadata, PostgresOptions},
        sqlite::SqliteMetadata,
    },
    signing::SECRET_BYTES,
};
use gen_worker_tasks::Scope;

use super::{args::StoreArgs, bucket::Bucket, directory::Directory};
use crate::{
    env::{Environment, names},
    exit::{Failure, chain},
};

/// What the addresses of databases begin with.
const SCHEMES: [&str; 2] = ["postgres://", "postgresql://"];

/// What marks the objects as those of one hub is made of its secret under this name.
const CONTEXT: &str = "gen-worker 2026 hub owner of objects";

/// The stores of a hub; by default those in its directory.
#[derive(Default)]
pub(crate) struct Stores {
    /// Address of the database; it may have a password.
    database: Option<String>,
    bucket: Option<Bucket>,
}

impl fmt::Debug for Stores {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stores").field("bucket", &self.bucket).finish_non_exhaustive()
    }
}

impl Stores {
    /// What flags and environment say.
    ///
    /// # Errors
    /// What is no address, a password on the command line, and a database without a bucket (exit 2). No address is shown.
    pub(super) fn given(args: &StoreArgs, env: &Environment) -> Result<Self, Failure> {
        if args.database.as_deref().is_some_and(has_password) {
            return Err(Failure::usage(
                "database: command lines are public on the machine: an address with a password belongs into \
                 GEN_WORKER_HUB_DATABASE",
            ));
        }
        let set = env.text(&names::GEN_WORKER_HUB_DATABASE)?;
        let database = args.database.as_deref().or(set).map(|url| url.trim().to_owned());
        if database.as_ref().is_some_and(|url| !SCHEMES.iter().any(|scheme| url.starts_with(scheme))) {
            return Err(Failure::usage("database: an address `postgres://user@host/name` is expected"));
        }
        let bucket = Bucket::given(args, env)?;
        if database.is_some() && bucket.is_none() {
            // Processes that share what is known have to share what it is known of.
            return Err(Failure::usage("database: it needs a bucket for the objects as well: add --objects"));
        }
        Ok(Self { database, bucket })
    }

    /// Whether clients of the hub at `public_url` can read what is in the bucket.
    ///
    /// # Errors
    /// When they would be led from an address that nobody else reads to one that others can (exit 2): no client follows.
    pub(super) fn check_reads(&self, public_url: &str) -> Result<(), Failure> {
        let leads_out = self.bucket.as_ref().is_some_and(Bucket::is_read_in_the_open);
        if leads_out && public_url.starts_with("https://") {
            return Err(Failure::usage(
                "objects-reads: clients of a hub at an https address do not go on to an http address of its bucket: \
                 name one with https, or `hub`",
            ));
        }
        Ok(())
    }

    /// Opens the metadata.
    pub(super) async fn metadata(
        &self,
        directory: &Directory,
        scope: &Arc<Scope>,
    ) -> Result<Arc<dyn Metadata>, Failure> {
        let Some(url) = &self.database else {
            let metadata = SqliteMetadata::open(&directory.metadata(), scope);
            return Ok(Arc::new(metadata.map_err(|error| Failure::failed(chain(&error)))?));
        };
        let tls = tls_config(None).map_err(|error| Failure::failed(chain(&error)))?;
        let options = PostgresOptions { tls: Some(Arc::new(tls)), ..PostgresOptions::new(url.as_str()) };
        let metadata = PostgresMetadata::open(options, Arc::clone(scope)).await;
        Ok(Arc::new(metadata.map_err(|error| Failure::failed(chain(&error)))?))
    }

    /// Opens the objects, once they are known to be those of the hub with this secret and these metadata.
    pub(super) async fn blobs(
        &self,
        directory: &Directory,
        scope: &Arc<Scope>,
        secret: &[u8; SECRET_BYTES],
        metadata: &dyn Metadata,
    ) -> Result<BlobStore, Failure> {
        let Some(bucket) = &self.bucket else {
            let blobs = BlobStore::local(directory.objects(), Arc::clone(scope));
            return blobs.map_err(|error| Failure::failed(chain(&error)));
        };
        let blobs = bucket.open(Arc::clone(scope))?;
        let mut owner = blake3::Hasher::new_derive_key(CONTEXT);
        owner.update(secret).update(metadata.shared().unwrap_or_default().as_bytes());
        let claimed = blobs.claim(&owner.finalize().to_hex()).await;
        claimed.map_err(|error| Failure::failed(chain(&error)))?;
        Ok(blobs)
    }
}

/// Whether an address has a password, in front of the host or behind it.
fn has_password(url: &str) -> bool {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let (authority, query) = rest.split_once('?').unwrap_or((rest, ""));
    let user = authority.rsplit_once('@').map_or("", |(user, _)| user);
    user.contains(':') || query.split('&').any(|pair| pair.starts_with("password="))
}

#[cfg(test)]
mod tests;
