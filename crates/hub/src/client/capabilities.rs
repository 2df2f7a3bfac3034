//! Renewal of tokens, and addresses of media (Hub contract, section 9).

use http::Method;

use super::{error::HubError, exchange::Call, hub_client::HubClient};
use crate::{
    api::{MediaUrls, MediaUrlsRequest, RenewReply, RenewRequest},
    secret::BearerToken,
};

impl HubClient {
    /// Exchanges the token of a job for one that ends later. `worker_token` says who asks. One attempt: when to ask, and again,
    /// is for whoever holds the token.
    ///
    /// # Errors
    /// See [`HubError`]. 401, 403, 404 and 409 are final: the job is not this worker's any more.
    ///
    /// # Cancel safety
    /// May be dropped; the old token stays good until its end.
    pub async fn renew_capability(
        &self,
        worker_token: &BearerToken,
        request: &RenewRequest,
    ) -> Result<RenewReply, HubError> {
        let target = "/v1/worker/capability/renew".to_owned();
        let call = Call::new("renewal of a token", Method::POST, target, self.timing().metadata).json(request)?;
        let call = Call { token: Some(worker_token), ..call };
        let reply = self.exchange_good(&call).await?;
        call.read(&reply, RenewReply::from_reply)
    }

    /// Addresses under which media can be read for a while.
    ///
    /// # Errors
    /// See [`HubError`].
    ///
    /// # Cancel safety
    /// May be dropped.
    pub async fn media_urls(&self, request: &MediaUrlsRequest) -> Result<MediaUrls, HubError> {
        let target = "/api/v1/media/urls".to_owned();
        let call = Call::new("list of addresses", Method::POST, target, self.timing().metadata).json(request)?;
        let reply = self.exchange_good(&call).await?;
        call.read(&reply, MediaUrls::from_reply)
    }
}
