//! Tags of endpoints (Hub contract, section 13). Every call is sent once: whether a change that got no answer happened is seen
//! in the tags.

use http::Method;
use serde::de::DeserializeOwned;

use super::{error::HubError, exchange::Call, hub_client::HubClient, url::part};
use crate::{
    api::{EndpointTag, Promotion, ReplyError, Rollback, TagChange, TagMoved},
    names::{Slug, Tag},
};

impl HubClient {
    /// The tags of `endpoint`.
    ///
    /// # Errors
    /// See [`HubError`].
    ///
    /// # Cancel safety
    /// May be dropped.
    pub async fn endpoint_tags(
        &self,
        tenant: &str,
        project: &Slug,
        endpoint: &Slug,
    ) -> Result<Vec<EndpointTag>, HubError> {
        const OPERATION: &str = "list of tags";
        let target = format!("{}/endpoints/{endpoint}/tags", project_path(OPERATION, tenant, project)?);
        self.tag_call(&Call::new(OPERATION, Method::GET, target, self.timing().metadata)).await
    }

    /// Points `tag` of `endpoint` at a release.
    ///
    /// # Errors
    /// [`HubError::Status`] 409 with the code `tag_conflict` when it points elsewhere than expected; see [`HubError`].
    ///
    /// # Cancel safety
    /// May be dropped; the tag may be moved all the same.
    pub async fn set_endpoint_tag(
        &self,
        tenant: &str,
        project: &Slug,
        endpoint: &Slug,
        tag: &Tag,
        change: &TagChange,
    ) -> Result<TagMoved, HubError> {
        const OPERATION: &str = "change of a tag";
        let target = format!("{}/endpoints/{endpoint}/tags/{tag}", project_path(OPERATION, tenant, project)?);
        self.tag_call(&Call::new(OPERATION, Method::PUT, target, self.timing().metadata).json(change)?).await
    }

    /// Makes a release current for several endpoints at once: for all of them or for none.
    ///
    /// # Errors
    /// See [`HubError`].
    ///
    /// # Cancel safety
    /// May be dropped; the tags may be moved all the same.
    pub async fn promote(
        &self,
        tenant: &str,
        project: &Slug,
        promotion: &Promotion,
    ) -> Result<Vec<TagMoved>, HubError> {
        const OPERATION: &str = "promotion of a release";
        let target = format!("{}/promote", project_path(OPERATION, tenant, project)?);
        self.tag_call(&Call::new(OPERATION, Method::POST, target, self.timing().metadata).json(promotion)?).await
    }

    /// Points `tag` of `endpoint` at an earlier release.
    ///
    /// # Errors
    /// [`HubError::Status`] 409 with the code `no_previous_release` when there is none; see [`HubError`].
    ///
    /// # Cancel safety
    /// May be dropped; the tag may be moved all the same.
    pub async fn roll_back(
        &self,
        tenant: &str,
        project: &Slug,
        endpoint: &Slug,
        tag: &Tag,
        rollback: &Rollback,
    ) -> Result<TagMoved, HubError> {
        const OPERATION: &str = "rollback of a tag";
        let target = format!("{}/endpoints/{endpoint}/tags/{tag}/rollback", project_path(OPERATION, tenant, project)?);
        self.tag_call(&Call::new(OPERATION, Method::POST, target, self.timing().metadata).json(rollback)?).await
    }

    /// Takes `tag` of `endpoint` away. Servers refuse that for `prod`.
    ///
    /// # Errors
    /// See [`HubError`].
    ///
    /// # Cancel safety
    /// May be dropped; the tag may be gone all the same.
    pub async fn delete_endpoint_tag(
        &self,
        tenant: &str,
        project: &Slug,
        endpoint: &Slug,
        tag: &Tag,
    ) -> Result<(), HubError> {
        const OPERATION: &str = "removal of a tag";
        let target = format!("{}/endpoints/{endpoint}/tags/{tag}", project_path(OPERATION, tenant, project)?);
        self.exchange_good(&Call::new(OPERATION, Method::DELETE, target, self.timing().metadata)).await.map(drop)
    }

    async fn tag_call<T: DeserializeOwned>(&self, call: &Call<'_>) -> Result<T, HubError> {
        let reply = self.exchange_good(call).await?;
        call.read(&reply, |body| serde_json::from_slice(body).map_err(ReplyError::from))
    }
}

fn project_path(operation: &'static str, tenant: &str, project: &Slug) -> Result<String, HubError> {
    Ok(format!("/api/v1/projects/{}/{project}", part(operation, tenant)?))
}
