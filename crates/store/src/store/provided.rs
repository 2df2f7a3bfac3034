//! Models of providers: found, brought, held. The same locks, room and downloader as for the hub's.

mod on_disk;
mod transfer;
mod verify;

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use on_disk::OnDisk;

use super::{FormatGate, HeldModel, Store};
use crate::{
    fetch_error::FetchError,
    flight::Reporter,
    format_gate::check_names,
    lock::{Hold, StoreLock},
    progress::Progress,
    providers::{ModelRequest, ProviderError, Reach, Receipt, RemoteModel},
    quarantine::restore,
    ref_index::Models,
    room::Claiming,
};

/// How often a model comes again that others evict before it is held: more often the disk is too small for all.
const EVICTED_TRIES: usize = 3;

impl Store {
    /// Makes the model that `request` asks a provider for present, and holds it. `reference` is how it is noted: its wire ref.
    ///
    /// Every file is hashed when it comes, as far as its provider says a hash. A failure leaves nothing behind but parts that
    /// the next call goes on with (rule 3.2).
    ///
    /// # Errors
    /// See [`FetchError`]; what is of the provider is [`FetchError::Provider`].
    ///
    /// # Cancel safety
    /// May be dropped; what came is kept for the next call.
    pub async fn fetch_provided(
        &self,
        reference: &str,
        request: &ModelRequest,
        reach: Reach,
        gate: FormatGate,
        progress: &dyn Progress,
    ) -> Result<HeldModel, FetchError> {
        let known = if reach == Reach::Fresh { OnDisk::Nothing } else { self.on_disk(request, reach).await? };
        let refs = match known {
            OnDisk::Whole(receipt, held) => {
                self.gate(&receipt, gate).await?;
                return self.held(reference, &receipt, held).await;
            }
            OnDisk::Damaged(refs) => refs,
            OnDisk::Nothing => Models::new(),
        };
        if matches!(reach, Reach::Noted | Reach::Offline) {
            return Err(ProviderError::NotLocal { model: request.reference().to_string() }.into());
        }
        for _ in 0..EVICTED_TRIES {
            let (this, name, wish) = (self.clone(), reference.to_owned(), request.clone());
            let work = |reporter: Arc<Reporter<Receipt>>| async move {
                this.bring_provided(&name, &wish, gate, reporter).await
            };
            let receipt = self.provided.join(self.providers.key(request), progress, work).await?;
            if let Some(held) = self.hold_whole(&receipt).await? {
                self.gate(&receipt, gate).await?;
                self.back(&receipt, refs).await?;
                return self.held(reference, &receipt, held).await;
            }
        }
        let path = self.room.layout.root().to_owned();
        Err(FetchError::InsufficientDisk { path, required_bytes: 0, available_bytes: 0 })
    }

    async fn bring_provided(
        &self,
        reference: &str,
        request: &ModelRequest,
        gate: FormatGate,
        reporter: Arc<dyn Progress>,
    ) -> Result<Receipt, FetchError> {
        let model = Arc::new(self.providers.resolve(request).await?);
        if gate == FormatGate::SafeOnly {
            let files = model.files.iter().map(|file| (&file.path, file.size.roughly().unwrap_or(0)));
            check_names(files).map_err(FetchError::Format)?;
        }
        // Before anything of it comes: from here on nobody evicts what is there, or came.
        let held = self.hold(&self.unit(&model.place.dir())).await?;
        let incoming = self.incoming(&model).await?;
        let missing = incoming.iter().map(|next| next.file.size.roughly().unwrap_or(0).saturating_sub(next.there));
        let missing = missing.fold(0u64, u64::saturating_add);
        let claim = self.make_room(reference, model.place.root(), missing).await?;
        let came = self.transfer(&model, incoming, Claiming::over(claim, &reporter)).await;
        self.room.settle().await;
        came?;
        self.finish(request, model, held).await
    }

    /// Makes the files, which are all there, a model, and notes that the request got it.
    async fn finish(
        &self,
        request: &ModelRequest,
        model: Arc<RemoteModel>,
        held: StoreLock,
    ) -> Result<Receipt, FetchError> {
        let (layout, key) = (self.room.layout.clone(), self.providers.key(request));
        // Its directory is there: the locks of its files are in it.
        let alone = self.room.lock(model.place.lock(&layout), Hold::Alone).await?;
        let failed = FetchError::disk("finish of a model", &model.place.dir());
        let work = move || {
            // Held to the end, also when nobody waits for it any more.
            let _held = (held, alone);
            model.place.finish(&model.files)?;
            let dir = model.place.dir();
            let within = layout.eviction_unit(&dir).unwrap_or(dir);
            let receipt = Receipt::of(&model, within)?;
            // Others may get another model for the same request meanwhile.
            let _alone = StoreLock::take_briefly(&layout.index_lock())?;
            receipt.write(layout.root(), &layout.receipt(&key))?;
            Ok(receipt)
        };
        self.room.disk.run(move || work().map_err(failed)).await
    }

    /// Notes the refs again that left with a damaged file, where it is back.
    async fn back(&self, receipt: &Receipt, mut refs: Models) -> Result<(), FetchError> {
        refs.retain(|_, model| model.path == receipt.dir);
        if refs.is_empty() {
            return Ok(());
        }
        let room = Arc::clone(&self.room);
        let failed = FetchError::disk("note models", &room.layout.index());
        self.room.disk.run(move || restore(&room, refs).map_err(failed)).await
    }

    /// Notes the model, which is `held`.
    async fn held(&self, reference: &str, receipt: &Receipt, held: StoreLock) -> Result<HeldModel, FetchError> {
        let (room, name, receipt) = (Arc::clone(&self.room), reference.to_owned(), receipt.clone());
        let dir = receipt.model();
        let failed = FetchError::disk("note a model", &receipt.dir);
        let noted = move || room.index.note(&name, &receipt.dir, receipt.bytes()).map_err(failed);
        if self.room.disk.run(noted).await? {
            self.room.observer.on_disk(reference);
        }
        Ok(HeldModel { dir, _use: held })
    }

    /// What is deleted with the model in `dir`; outside of the store nothing is, and the directory stands for itself.
    fn unit(&self, dir: &Path) -> PathBuf {
        self.room.layout.eviction_unit(dir).unwrap_or_else(|| dir.to_owned())
    }
}
