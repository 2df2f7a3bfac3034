//! What a ref stands for (Hub contract, section 3).

use http::{Method, StatusCode};

use super::{
    error::HubError,
    exchange::Call,
    hub_client::HubClient,
    url::{encoded, part},
};
use crate::{api::Resolved, model_ref::HubRef};

impl HubClient {
    /// Asks for the files of `reference`. A digest is asked for by digest, everything else by tag.
    ///
    /// # Errors
    /// [`HubError::NotFound`] for what is not there or not for this caller, [`HubError::Auth`], [`HubError::RateLimited`];
    /// [`HubError::Refused`] for a digest that is not whole. Nothing is tried twice.
    ///
    /// # Cancel safety
    /// May be dropped.
    pub async fn resolve(&self, reference: &HubRef) -> Result<Resolved, HubError> {
        const OPERATION: &str = "resolve";
        let mut query = match reference.digest() {
            Some(digest) if digest.whole().is_none() => {
                return Err(HubError::Refused { operation: OPERATION, why: "the digest is not whole" });
            }
            Some(digest) => format!("digest={}", encoded(&digest.to_string())),
            None => format!("tag={}", encoded(reference.tag())),
        };
        if let Some(flavor) = reference.flavor() {
            query = format!("{query}&flavor={flavor}");
        }
        let (owner, repo) = (part(OPERATION, reference.owner())?, part(OPERATION, reference.repo())?);
        let target = format!("/api/v1/repos/{owner}/{repo}/resolve?{query}");
        let call = Call::new(OPERATION, Method::GET, target, self.timing().resolve);
        let reply = self.exchange(&call).await?;
        if reply.status != StatusCode::OK {
            return Err(call.refused(&reply));
        }
        call.read(&reply, Resolved::from_reply)
    }
}
