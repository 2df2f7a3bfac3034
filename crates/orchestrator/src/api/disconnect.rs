//! Cancelling on disconnect: a reply that is dropped before it is complete means that its reader is gone.

use gen_worker_proto::RequestId;

use super::state::Shared;

/// Cancels a request when it is dropped armed.
#[derive(Debug)]
pub(super) struct CancelOnDrop {
    armed: Option<(Shared, RequestId)>,
}

impl CancelOnDrop {
    /// Armed when `wanted`.
    pub(super) fn new(api: &Shared, id: &RequestId, wanted: bool) -> Self {
        Self { armed: wanted.then(|| (api.clone(), id.clone())) }
    }

    /// The reader got what it waited for.
    pub(super) fn disarm(&mut self) {
        self.armed = None;
    }
}

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        let Some((api, id)) = self.armed.take() else { return };
        // Without a runtime the process is going down, and the pool with it.
        if tokio::runtime::Handle::try_current().is_err() {
            return;
        }
        let scope = std::sync::Arc::clone(&api.scope);
        scope.spawn_bare(async move {
            if let Err(error) = api.handle.cancel(&id).await {
                tracing::debug!(request = %id, error = %error, "request of a vanished caller was not cancelled");
            }
        });
    }
}
