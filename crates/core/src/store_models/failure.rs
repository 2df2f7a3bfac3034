//! What failures of the store and the hub mean for who wanted the model. Owns no state.

use std::error::Error;

use gen_worker_hub::client::{HubError, HubFailure};
use gen_worker_store::FetchError;

use crate::model_source::ModelError;

/// The store could not bring it.
pub(super) fn of(reference: &str, error: FetchError) -> ModelError {
    let reference = reference.to_owned();
    match error {
        FetchError::UrlExpired { .. } => ModelError::UrlExpired(reference),
        FetchError::DigestMismatch { .. } => ModelError::DigestMismatch(reference),
        FetchError::InsufficientDisk { required_bytes, available_bytes, .. } => {
            ModelError::InsufficientDisk { reference, required_bytes, available_bytes }
        }
        error if error.is_passing() => ModelError::Source { reference, source: error.into() },
        error => refused(&reference, error),
    }
}

/// The hub did not say what it is.
pub(super) fn of_hub(reference: &str, error: HubError) -> ModelError {
    match error.class() {
        HubFailure::Retryable => ModelError::Source { reference: reference.to_owned(), source: error.into() },
        _ => refused(reference, error),
    }
}

/// It makes no sense.
pub(super) fn refused(reference: &str, error: impl Error + Send + Sync + 'static) -> ModelError {
    ModelError::Refused { reference: reference.to_owned(), source: error.into() }
}
