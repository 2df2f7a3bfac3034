//! Datasets (Hub contract, section 8).

use http::{Method, StatusCode};

use super::{error::HubError, exchange::Call, hub_client::HubClient, url::encoded};
use crate::{
    api::{Dataset, DatasetCreate, DatasetList, DatasetPatch, ReplyError},
    names::ServerId,
};

const DATASETS: &str = "/api/v1/datasets";

impl HubClient {
    /// The datasets of `owner`.
    ///
    /// # Errors
    /// See [`HubError`].
    ///
    /// # Cancel safety
    /// May be dropped.
    pub async fn datasets(&self, owner: &str) -> Result<DatasetList, HubError> {
        let target = format!("{DATASETS}?owner={}", encoded(owner));
        let call = Call::new("list of datasets", Method::GET, target, self.timing().metadata).owner(Some(owner));
        let reply = self.exchange_good(&call).await?;
        call.read(&reply, |body| serde_json::from_slice(body).map_err(ReplyError::from))
    }

    /// Makes the dataset of `create`, or changes the one of that name: its schema, `row_artifacts` if there are any, and who
    /// sees it. Gives its id. A list that cannot be had counts as one without it.
    ///
    /// # Errors
    /// See [`HubError`].
    ///
    /// # Cancel safety
    /// May be dropped; the dataset may be there all the same.
    pub async fn publish_dataset(
        &self,
        create: &DatasetCreate,
        row_artifacts: Option<&serde_json::Value>,
    ) -> Result<ServerId, HubError> {
        if let Some(known) = self.find_dataset(&create.owner, &create.name).await.unwrap_or(None) {
            return self.change_dataset(create, row_artifacts, known.id).await;
        }
        let call = Call::new("create of a dataset", Method::POST, DATASETS.to_owned(), self.timing().metadata);
        let call = call.owner(Some(&create.owner)).json(create)?;
        let reply = self.exchange(&call).await?;
        if reply.status == StatusCode::CONFLICT {
            // Somebody was faster, or the list was not to be had.
            let known = self.find_dataset(&create.owner, &create.name).await?;
            let known = known.ok_or_else(|| call.refused(&reply))?;
            return self.change_dataset(create, row_artifacts, known.id).await;
        }
        if !reply.status.is_success() {
            return Err(call.refused(&reply));
        }
        call.read(&reply, |body| Ok(serde_json::from_slice::<Dataset>(body)?.id))
    }

    async fn find_dataset(&self, owner: &str, name: &str) -> Result<Option<Dataset>, HubError> {
        Ok(self.datasets(owner).await?.named(name).cloned())
    }

    async fn change_dataset(
        &self,
        create: &DatasetCreate,
        row_artifacts: Option<&serde_json::Value>,
        id: ServerId,
    ) -> Result<ServerId, HubError> {
        let visibility = Some(create.visibility.clone()).filter(|word| matches!(word.as_str(), "private" | "public"));
        let patch =
            DatasetPatch { schema: Some(create.schema.clone()), row_artifacts: row_artifacts.cloned(), visibility };
        let target = format!("{DATASETS}/{id}");
        let call = Call::new("change of a dataset", Method::PATCH, target, self.timing().metadata);
        let call = call.owner(Some(&create.owner)).json(&patch)?;
        self.exchange_good(&call).await?;
        Ok(id)
    }
}
