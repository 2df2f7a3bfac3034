//! What a program that runs the hub asks it without HTTP, as an operator or as a tenant.

use std::{sync::Arc, time::Duration};

use gen_worker_hub::{HubRef, SignedUrl, api::Resolved};

use super::Hub;
use crate::{
    api::{repos, uploads::READ_S},
    metadata::{MetadataError, Selector},
};

/// As whom a ref is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asker<'a> {
    /// Sees everything.
    Operator,
    /// Sees what is public, and what is its own.
    Tenant(&'a str),
}

/// What a ref stands for.
#[derive(Debug)]
pub enum Seen {
    /// These files.
    There(Resolved),
    /// Something that this asker may not know of. Whoever is outside hears the same as for [`Seen::Gone`] (rule 3.5).
    Hidden,
    /// Nothing.
    Gone,
}

/// Calls into a hub of this process.
#[derive(Clone, Debug)]
pub struct Direct(Arc<Hub>);

impl Direct {
    /// How long the addresses that it gives can be used.
    pub const ADDRESS_LIFE: Duration = Duration::from_secs(READ_S);

    /// Calls into `hub`.
    #[must_use]
    pub fn new(hub: Arc<Hub>) -> Self {
        Self(hub)
    }

    /// What a ref stands for.
    ///
    /// # Errors
    /// When the metadata cannot be read.
    pub async fn resolve(&self, reference: &HubRef, asker: Asker<'_>) -> Result<Seen, MetadataError> {
        let Some((repo, selector)) = asked(reference) else { return Ok(Seen::Gone) };
        let is_own = match asker {
            Asker::Operator => true,
            Asker::Tenant(tenant) => repo.owner().eq_ignore_ascii_case(tenant),
        };
        let Some(found) = self.0.metadata.resolve(repo, selector).await? else { return Ok(Seen::Gone) };
        if found.private && !is_own {
            return Ok(Seen::Hidden);
        }
        let resolved = repos::described(&self.0, &found);
        resolved.map(Seen::There).map_err(|_| MetadataError::Corrupt { detail: "a snapshot has no name".to_owned() })
    }

    /// Where a file of a tenant can be read; `None` when it is not there.
    ///
    /// # Errors
    /// When the metadata cannot be read.
    pub async fn media_url(&self, tenant: &str, reference: &str) -> Result<Option<SignedUrl>, MetadataError> {
        let file = self.0.metadata.media_file(tenant.to_ascii_lowercase(), reference.to_owned()).await?;
        let expires_s = self.0.options.clock.now_s().saturating_add(READ_S);
        Ok(file.and_then(|file| self.0.media_address(&file, reference, expires_s)))
    }
}

/// The same as over HTTP; what can be no name is none that is there.
fn asked(reference: &HubRef) -> Option<(gen_worker_hub::model_ref::RepoName, Selector)> {
    let repo = format!("{}/{}", reference.owner(), reference.repo()).parse::<gen_worker_hub::model_ref::RepoName>();
    let flavor = reference.flavor().cloned();
    let selector = match reference.digest() {
        Some(digest) => Selector::Digest(digest.whole()?, flavor),
        None => Selector::Tag(reference.tag().parse().ok()?, flavor),
    };
    Some((repo.ok()?.to_lowercase(), selector))
}
