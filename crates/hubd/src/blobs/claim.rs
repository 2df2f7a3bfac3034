//! Whose objects these are. A hub removes what its metadata does not name: with the objects of another one that would be all.

use bytes::Bytes;
use object_store::{Error, ObjectStoreExt as _, PutMode, PutOptions, PutPayload, path::Path};

use super::BlobStore;

/// The object that says it. It is not below the others.
const OWNER: &str = "owner";

/// Why the objects cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ClaimError {
    /// They belong to a hub with another secret, or with other metadata.
    #[error("the objects belong to another hub")]
    Taken,
    /// The store cannot be used.
    #[error("cannot use the objects of the hub")]
    Store(#[source] Error),
}

impl BlobStore {
    /// Makes the objects those of `owner`, unless they are those of another. All processes of one hub have one owner.
    ///
    /// # Errors
    /// See [`ClaimError`].
    pub async fn claim(&self, owner: &str) -> Result<(), ClaimError> {
        let path = Path::from(OWNER);
        match self.objects.get(&path).await {
            Ok(found) => return same(found.bytes().await.map_err(ClaimError::Store)?, owner),
            Err(Error::NotFound { .. }) => {}
            Err(error) => return Err(ClaimError::Store(error)),
        }
        let put = |mode| {
            let options = PutOptions { mode, ..PutOptions::default() };
            self.objects.put_opts(&path, PutPayload::from(owner.to_owned()), options)
        };
        match put(PutMode::Create).await {
            // Some stores cannot tell; then who comes last wins, and the others see it.
            Ok(_) | Err(Error::AlreadyExists { .. }) => {}
            Err(Error::NotImplemented { .. } | Error::NotSupported { .. }) => {
                put(PutMode::Overwrite).await.map_err(ClaimError::Store)?;
            }
            Err(error) => return Err(ClaimError::Store(error)),
        }
        let found = self.objects.get(&path).await.map_err(ClaimError::Store)?;
        same(found.bytes().await.map_err(ClaimError::Store)?, owner)
    }
}

fn same(found: Bytes, owner: &str) -> Result<(), ClaimError> {
    if found == owner.as_bytes() { Ok(()) } else { Err(ClaimError::Taken) }
}

#[cfg(test)]
mod tests;
