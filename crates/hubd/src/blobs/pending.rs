//! An object that is not complete. It is given up when its request is.

use std::sync::Arc;

use gen_worker_tasks::Scope;
use object_store::{MultipartUpload, PutPayload, Result};
use tokio::{runtime::Handle, task::JoinHandle};

use super::{read::failed, staged::Staged};

/// An object that has begun.
#[derive(Debug)]
pub(super) struct Pending {
    place: Option<Place>,
    key: Arc<str>,
    scope: Arc<Scope>,
}

/// Where its pieces go.
#[derive(Debug)]
pub(super) enum Place {
    Directory(Staged),
    Store(Box<dyn MultipartUpload>),
}

impl Pending {
    /// Watches over the object `key`; what is left of it is removed in `scope`.
    pub fn new(place: Place, key: &str, scope: Arc<Scope>) -> Self {
        Self { place: Some(place), key: key.into(), scope }
    }

    /// Sends the next piece.
    pub async fn put(&mut self, piece: PutPayload) -> Result<()> {
        match &mut self.place {
            Some(Place::Directory(file)) => {
                file.write(piece, &self.scope).await.map_err(|error| failed(&self.key, error))
            }
            Some(Place::Store(upload)) => upload.put_part(piece).await,
            None => Ok(()),
        }
    }

    /// Makes an object of the pieces. It outlives a loss of power on return.
    pub async fn complete(mut self) -> Result<()> {
        match &mut self.place {
            Some(Place::Directory(file)) => {
                file.complete(&self.scope).await.map_err(|error| failed(&self.key, error))?;
            }
            Some(Place::Store(upload)) => drop(upload.complete().await?),
            None => {}
        }
        self.place = None;
        Ok(())
    }

    /// Removes the pieces.
    pub async fn abort(mut self) {
        if let Some(place) = self.place.take() {
            // It ends well, or with the process.
            drop(abort(place, &self.scope).await);
        }
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        let Some(place) = self.place.take() else { return };
        // Without a runtime the process is about to end.
        if Handle::try_current().is_ok() {
            drop(abort(place, &self.scope));
        }
    }
}

fn abort(place: Place, scope: &Scope) -> JoinHandle<()> {
    match place {
        Place::Directory(file) => {
            file.give_up();
            scope.spawn_blocking(move || drop(file))
        }
        Place::Store(mut upload) => scope.spawn_bare(async move {
            if let Err(error) = upload.abort().await {
                tracing::debug!(%error, "a part that failed was not removed at once");
            }
        }),
    }
}
