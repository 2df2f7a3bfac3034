//! SHA-256 of an upload in several parts, computed while the later ones still come: the end of the upload then waits for the last
//! of them only, and the bytes are read while the disk's cache has them. Owns how far each upload is hashed.

use std::{collections::HashMap, sync::Arc};

use gen_worker_hub::{
    Blake3Hash, ServerId,
    digest::{DigestAlgorithm, DigestHasher},
};
use parking_lot::Mutex;
use tokio::sync::Mutex as TurnMutex;

use super::Hub;
use crate::{
    blobs::BlobStore,
    metadata::{MetadataError, Part, Upload, UploadOwner},
};

/// Uploads of which it is known how far they are hashed. One that is not among them is hashed at its end.
const FRONTS_MAX: usize = 1_024;

/// The uploads, by id.
#[derive(Debug, Default)]
pub(crate) struct Fronts(Mutex<HashMap<ServerId, SharedFront>>);

/// Whoever hashes on holds it.
type SharedFront = Arc<TurnMutex<Front>>;

/// The parts of an upload that are hashed: those in front.
#[derive(Debug)]
pub(crate) struct Front {
    parts: usize,
    /// Which objects they were: a part may come again, as another object.
    objects: Blake3Hash,
    sha256: DigestHasher,
}

/// Why an upload is not hashed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum HashError {
    /// Its record.
    #[error(transparent)]
    Metadata(#[from] MetadataError),
    /// Its bytes.
    #[error(transparent)]
    Objects(#[from] object_store::Error),
}

impl Fronts {
    /// How far `upload` is hashed. Another upload that nobody works at makes room.
    fn of(&self, upload: &ServerId) -> SharedFront {
        let mut fronts = self.0.lock();
        if fronts.len() >= FRONTS_MAX
            && !fronts.contains_key(upload)
            && let Some(idle) = fronts.iter().find(|(_, front)| Arc::strong_count(front) == 1)
        {
            let idle = idle.0.clone();
            fronts.remove(&idle);
        }
        Arc::clone(fronts.entry(upload.clone()).or_default())
    }

    fn forget(&self, upload: &ServerId) {
        self.0.lock().remove(upload);
    }
}

impl Front {
    /// Hashes those of `parts` that come next, up to the first that is not there. What is hashed stays hashed when this fails or
    /// is dropped.
    async fn advance(&mut self, blobs: &BlobStore, parts: &[Part]) -> object_store::Result<()> {
        if parts.get(..self.parts).is_none_or(|hashed| objects(hashed) != self.objects) {
            *self = Self::default();
        }
        while let Some(part) = parts.get(self.parts)
            && part.number as usize == self.parts + 1
        {
            let mut sha256 = self.sha256.clone();
            let whole = 0..part.segment.size_bytes;
            blobs.feed(vec![part.segment.clone()], whole, &mut |piece| sha256.update(piece)).await?;
            self.parts += 1;
            self.objects = after(self.objects, part);
            self.sha256 = sha256;
        }
        Ok(())
    }
}

impl Default for Front {
    fn default() -> Self {
        Self { parts: 0, objects: objects(&[]), sha256: DigestHasher::new(DigestAlgorithm::Sha256) }
    }
}

/// One value for a list of objects.
fn objects(parts: &[Part]) -> Blake3Hash {
    parts.iter().fold(Blake3Hash::of(b""), after)
}

fn after(objects: Blake3Hash, part: &Part) -> Blake3Hash {
    let key = Blake3Hash::of(part.segment.key.as_bytes());
    Blake3Hash::of(&[*objects.as_bytes(), *key.as_bytes()].concat())
}

impl Hub {
    /// A part came. If it is one of media, whose SHA-256 the end of the upload tells, those in front are hashed now, unless the hub
    /// hashes enough at the moment.
    pub(crate) fn hash_ahead(self: &Arc<Self>, upload: &Upload) {
        let new = &upload.new;
        if !matches!(new.owner, UploadOwner::Media { .. }) || new.size_bytes <= self.options.part_bytes {
            return;
        }
        let Ok(turn) = Arc::clone(&self.ahead_turns).try_acquire_owned() else { return };
        // Who holds it looks again for parts before it ends; the last of them the end of the upload finds.
        let Ok(mut front) = self.fronts.of(&new.id).try_lock_owned() else { return };
        let (hub, id) = (Arc::clone(self), new.id.clone());
        self.blobs.scope().spawn("hub-hash-ahead", async move {
            let _turn = turn;
            if let Err(error) = hub.hash_on(&mut front, &id).await {
                tracing::debug!(upload = %id, error = &error as &dyn std::error::Error, "an upload is hashed at its end");
            }
        });
    }

    async fn hash_on(&self, front: &mut Front, id: &ServerId) -> Result<(), HashError> {
        loop {
            let before = front.parts;
            let upload = self.metadata.upload(id.clone(), self.options.clock.now_s()).await?;
            match upload.filter(|upload| !upload.complete) {
                Some(upload) => front.advance(&self.blobs, &upload.parts).await?,
                None => self.fronts.forget(id),
            }
            if front.parts == before {
                return Ok(());
            }
        }
    }

    /// SHA-256 of an upload of which every part is there.
    ///
    /// # Cancel safety
    /// May be dropped; the next call goes on.
    pub(crate) async fn hash_to_end(&self, upload: &Upload) -> Result<String, HashError> {
        let id = &upload.new.id;
        let front = self.fronts.of(id);
        let mut front = front.lock().await;
        front.advance(&self.blobs, &upload.parts).await?;
        self.fronts.forget(id);
        Ok(front.sha256.digest().hex())
    }
}

#[cfg(test)]
mod tests;
