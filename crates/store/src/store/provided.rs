//! Models of providers: found, brought, held. The same locks, room and downloader as for the hub's.

mod transfer;

use std::{path::PathBuf, sync::Arc};

use gen_worker_hub::RepoPath;
use tracing::warn;

use super::{FormatGate, HeldModel, Store};
use crate::{
    durable,
    fetch_error::FetchError,
    flight::Reporter,
    format_gate::{FormatError, check_names},
    lock::{Hold, StoreLock},
    progress::Progress,
    providers::{ModelRequest, ProviderError, Reach, Receipt, is_safe},
    safetensors::check_safetensors,
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
        let collects_wait = self.lock("gc".to_owned(), Hold::Shared).await?;
        let known = if reach == Reach::Fresh { None } else { self.on_disk(request, reach).await? };
        if let Some(receipt) = known {
            self.gate(&receipt, gate).await?;
            return self.held(reference, &receipt).await;
        }
        drop(collects_wait);
        if reach == Reach::Offline {
            return Err(ProviderError::NotLocal { model: request.reference().to_string() }.into());
        }
        for _ in 0..EVICTED_TRIES {
            let (this, name, wish) = (self.clone(), reference.to_owned(), request.clone());
            let work = |reporter: Arc<Reporter<Receipt>>| async move {
                this.bring_provided(&name, &wish, gate, reporter).await
            };
            let receipt = self.provided.join(self.providers.key(request), progress, work).await?;
            let _collects_wait = self.lock("gc".to_owned(), Hold::Shared).await?;
            let look = receipt.clone();
            if self.snapshots.disk.run(move || Ok(look.is_whole())).await? {
                self.gate(&receipt, gate).await?;
                return self.held(reference, &receipt).await;
            }
        }
        let path = self.snapshots.layout.root().to_owned();
        Err(FetchError::InsufficientDisk { path, required_bytes: 0, available_bytes: 0 })
    }

    /// What is on disk for `request`, when that is all of it and whole (rules 3.4, 3.8, 6.23).
    async fn on_disk(&self, request: &ModelRequest, reach: Reach) -> Result<Option<Receipt>, FetchError> {
        let at = self.snapshots.layout.receipt(&self.providers.key(request));
        let noted = move || Ok(Receipt::read(&at).filter(Receipt::is_whole));
        let found = match self.snapshots.disk.run(noted).await? {
            Some(receipt) => Some(receipt),
            // What others put there may be a part: good enough only when there is no other.
            None if reach == Reach::Offline => self.providers.found(request).await?,
            None => None,
        };
        let Some(receipt) = found else { return Ok(None) };
        match self.headers(&receipt).await? {
            Ok(()) => Ok(Some(receipt)),
            Err(FormatError::Broken { file, source: error }) => {
                warn!(model = %request.reference(), %file, error = &error as &dyn std::error::Error, "a model on disk is damaged");
                self.quarantine_file(&receipt, &file).await?;
                Ok(None)
            }
            Err(error) => Err(FetchError::Format(error)),
        }
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
        let incoming = self.incoming(&model).await?;
        let missing = incoming.iter().map(|next| next.file.size.roughly().unwrap_or(0).saturating_sub(next.there));
        self.room(reference, model.place.root(), missing.fold(0u64, u64::saturating_add)).await?;
        let collects_wait = self.lock("gc".to_owned(), Hold::Shared).await?;
        self.transfer(&model, incoming, reporter).await?;
        let (layout, key) = (self.snapshots.layout.clone(), self.providers.key(request));
        // Its directory is there: the locks of its files are in it.
        let path = model.place.lock(&layout);
        let alone = StoreLock::take(&path, Hold::Alone).await.map_err(FetchError::disk("lock", &path))?;
        let failed = FetchError::disk("finish of a model", &model.place.dir());
        let work = move || {
            // Held to the end, also when nobody waits for it any more.
            let _held = (collects_wait, alone);
            model.place.finish(&model.files)?;
            let dir = model.place.dir();
            let within = layout.eviction_unit(&dir).unwrap_or(dir);
            let receipt = Receipt::of(&model, within)?;
            receipt.write(layout.root(), &layout.receipt(&key))?;
            Ok(receipt)
        };
        self.snapshots.disk.run(move || work().map_err(failed)).await
    }

    /// Whether what is on disk may be loaded (section 11).
    async fn gate(&self, receipt: &Receipt, gate: FormatGate) -> Result<(), FetchError> {
        if gate == FormatGate::SafeOnly {
            check_names(receipt.files.iter().map(|file| (&file.path, file.bytes))).map_err(FetchError::Format)?;
        }
        self.headers(receipt).await?.map_err(FetchError::Format)
    }

    /// Looks into the safetensors files. The inner error is the first that is broken, and where it is.
    async fn headers(&self, receipt: &Receipt) -> Result<Result<(), FormatError>, FetchError> {
        let receipt = receipt.clone();
        let failed = FetchError::disk("look into weights", &receipt.dir);
        let check = move || {
            for file in &receipt.files {
                let Some(at) = receipt.target(&file.path) else { continue };
                if is_safe(&file.path)
                    && let Err(source) = check_safetensors(&at)?
                {
                    return Ok(Err(FormatError::Broken { file: file.path.clone(), source }));
                }
            }
            Ok(Ok(()))
        };
        self.snapshots.disk.run(move || check().map_err(failed)).await
    }

    /// Takes a damaged file away: the next who wants it brings it anew (rule 6.25).
    async fn quarantine_file(&self, receipt: &Receipt, file: &RepoPath) -> Result<(), FetchError> {
        let Some(at) = receipt.target(file) else { return Ok(()) };
        let failed = FetchError::disk("quarantine of a file", &at);
        self.snapshots.disk.run(move || durable::remove_file(&at).map_err(failed)).await
    }

    /// Notes the model and holds it. Whoever calls holds `gc`.
    async fn held(&self, reference: &str, receipt: &Receipt) -> Result<HeldModel, FetchError> {
        let layout = &self.snapshots.layout;
        let unit: PathBuf = layout.eviction_unit(&receipt.dir).unwrap_or_else(|| receipt.dir.clone());
        let path = layout.use_lock(&unit);
        let held = StoreLock::take(&path, Hold::Shared).await.map_err(FetchError::disk("lock", &path))?;
        let (index, name, receipt) = (self.index.clone(), reference.to_owned(), receipt.clone());
        let dir = receipt.model();
        let failed = FetchError::disk("note a model", &receipt.dir);
        let noted = move || index.note(&name, &receipt.dir, receipt.bytes()).map_err(failed);
        if self.snapshots.disk.run(noted).await? {
            self.observer.on_disk(reference);
        }
        Ok(HeldModel { dir, _use: held })
    }
}
