//! What a program that runs the hub asks it without HTTP. It asks as an operator: what a tenant may see is its own matter.

use std::{sync::Arc, time::Duration};

use gen_worker_hub::{HubRef, SignedUrl, api::Resolved};

use super::Hub;
use crate::{
    api::{repos, uploads::READ_S},
    metadata::{MetadataError, Selector},
    signing::Use,
};

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

    /// What a ref stands for; `None` when it is not there.
    ///
    /// # Errors
    /// When the metadata cannot be read.
    pub async fn resolve(&self, reference: &HubRef) -> Result<Option<Resolved>, MetadataError> {
        let Some((repo, selector)) = asked(reference) else { return Ok(None) };
        let Some(found) = self.0.metadata.resolve(repo, selector).await? else { return Ok(None) };
        let resolved = repos::described(&self.0, &found);
        resolved.map(Some).map_err(|_| MetadataError::Corrupt { detail: "a snapshot has no name".to_owned() })
    }

    /// Where a file of a tenant can be read; `None` when it is not there.
    ///
    /// # Errors
    /// When the metadata cannot be read.
    pub async fn media_url(&self, tenant: &str, reference: &str) -> Result<Option<SignedUrl>, MetadataError> {
        let media = self.0.metadata.media(tenant.to_ascii_lowercase(), reference.to_owned()).await?;
        let expires_s = self.0.options.clock.now_s().saturating_add(READ_S);
        Ok(media.and_then(|hash| self.0.signer.sign(Use::Read, &format!("/api/v1/files/{hash}"), expires_s)))
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
