//! Models of providers: found, brought, held. The same locks, room and downloader as for the hub's.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
};

use futures::{StreamExt as _, TryStreamExt as _, stream};
use gen_worker_hub::RepoPath;
use tokio::sync::Semaphore;
use tracing::warn;

use super::{FormatGate, HeldModel, Store};
use crate::{
    download::{Failure, Job},
    durable,
    fetch_error::FetchError,
    flight::Reporter,
    format_gate::{FormatError, check_names},
    lock::{Hold, StoreLock},
    progress::{Progress, Sum, Transferred},
    providers::{FilePlace, ModelRequest, ProviderError, Reach, Receipt, RemoteFile, RemoteModel, is_safe},
    safetensors::check_safetensors,
    snapshots::Share,
    wanted,
};

/// Files that are looked at, transferred or made durable at once. Transfers are fewer.
const FILES_AT_ONCE: usize = 32;

/// One file that is to come, and how much of it is there.
struct Incoming {
    file: RemoteFile,
    at: FilePlace,
    there: u64,
}

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
        let (this, name, wish) = (self.clone(), reference.to_owned(), request.clone());
        let work =
            |reporter: Arc<Reporter<Receipt>>| async move { this.bring_provided(&name, &wish, gate, reporter).await };
        let receipt = self.provided.join(self.providers.key(request), progress, work).await?;
        // Taken anew after the flight: whoever evicted meanwhile is seen.
        let _collects_wait = self.lock("gc".to_owned(), Hold::Shared).await?;
        self.gate(&receipt, gate).await?;
        self.held(reference, &receipt).await
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
        let _collects_wait = self.lock("gc".to_owned(), Hold::Shared).await?;
        self.transfer(&model, incoming, reporter).await?;
        let (layout, key) = (self.snapshots.layout.clone(), self.providers.key(request));
        let failed = FetchError::disk("finish of a model", &model.place.dir());
        let work = move || {
            model.place.finish(&model.files)?;
            let dir = model.place.dir();
            let within = layout.eviction_unit(&dir).unwrap_or(dir);
            let receipt = Receipt::of(&model, within)?;
            receipt.write(layout.root(), &layout.receipt(&key))?;
            Ok(receipt)
        };
        self.snapshots.disk.run(move || work().map_err(failed)).await
    }

    /// The files of `model`, each place once, and what is there of each: complete ones by their size, others by their parts.
    async fn incoming(&self, model: &Arc<RemoteModel>) -> Result<Vec<Incoming>, FetchError> {
        let (layout, model) = (self.snapshots.layout.clone(), Arc::clone(model));
        let len = |path: &Path| std::fs::symlink_metadata(path).ok().filter(|at| at.is_file()).map(|at| at.len());
        self.snapshots
            .disk
            .run(move || {
                let places: BTreeMap<FilePlace, &RemoteFile> =
                    model.files.iter().map(|file| (model.place.of(&layout, file), file)).collect();
                let mut incoming: Vec<_> = places
                    .into_iter()
                    .map(|(at, file)| {
                        let whole = len(&at.place).filter(|bytes| file.size.fits(*bytes));
                        let there = whole.or_else(|| len(&at.part)).unwrap_or(0);
                        Incoming { file: file.clone(), at, there }
                    })
                    .collect();
                incoming.sort_by_key(|next| std::cmp::Reverse(next.file.size.roughly()));
                Ok(incoming)
            })
            .await
    }

    /// Space for what is missing (rule 8.9), where the files go.
    async fn room(&self, reference: &str, root: &Path, missing: u64) -> Result<(), FetchError> {
        let required_bytes = missing.saturating_add(self.headroom_bytes);
        let (snapshots, at) = (Arc::clone(&self.snapshots), root.to_owned());
        let measure = || {
            let (space, layout, at) = (Arc::clone(&snapshots.space), snapshots.layout.clone(), at.clone());
            snapshots.disk.run(move || {
                let failed = FetchError::disk("make of a directory", &at);
                std::fs::create_dir_all(&at).map_err(failed)?;
                Ok((space.available_bytes(&at).ok(), durable::same_device(&at, layout.root())))
            })
        };
        let (available, same) = measure().await?;
        let fits = |available: Option<u64>| missing == 0 || available.is_none_or(|bytes| bytes >= required_bytes);
        if fits(available) {
            return Ok(());
        }
        // What is evicted is on the disk of the store: elsewhere that helps nobody.
        if same {
            self.collect_for(required_bytes, Some(reference.to_owned()), Default::default()).await?;
        }
        let (available, _) = measure().await?;
        match fits(available) {
            true => Ok(()),
            false => Err(FetchError::InsufficientDisk {
                path: root.to_owned(),
                required_bytes,
                available_bytes: available.unwrap_or(0),
            }),
        }
    }

    async fn transfer(
        &self,
        model: &Arc<RemoteModel>,
        incoming: Vec<Incoming>,
        reporter: Arc<dyn Progress>,
    ) -> Result<(), FetchError> {
        let total = incoming.iter().filter_map(|next| next.file.size.roughly()).fold(0u64, u64::saturating_add);
        let there = incoming.iter().map(|next| next.there).fold(0u64, u64::saturating_add);
        let sum = Arc::new(Sum::of(total));
        reporter.transferred(sum.moved(0, there));
        let slots = Arc::new(Semaphore::new(self.snapshots.downloader.blobs_at_once()));
        let transfers = incoming.into_iter().map(|next| {
            let share = Share { sum: Arc::clone(&sum), last: next.there.into(), tree: Arc::clone(&reporter) };
            let (model, slots) = (Arc::clone(model), Arc::clone(&slots));
            async move { self.bring_file(&model, next, slots, &share).await }
        });
        stream::iter(transfers).buffer_unordered(FILES_AT_ONCE).try_for_each(|()| async { Ok(()) }).await?;
        reporter.transferred(Transferred { bytes_done: total, bytes_total: total });
        Ok(())
    }

    async fn bring_file(
        &self,
        model: &RemoteModel,
        next: Incoming,
        slots: Arc<Semaphore>,
        progress: &dyn Progress,
    ) -> Result<(), FetchError> {
        let Incoming { file, at: FilePlace { place, part, lock }, .. } = next;
        let snapshots = &self.snapshots;
        let (root, dirs) = (model.place.root().to_owned(), [place.clone(), lock.clone()]);
        let base = if lock.starts_with(&root) { root.clone() } else { snapshots.layout.root().to_owned() };
        let failed = FetchError::disk("make of a directory", &place);
        let make = move || {
            dirs.iter()
                .zip([&root, &base])
                .try_for_each(|(path, root)| path.parent().map_or(Ok(()), |dir| durable::make_dirs(root, dir)))
        };
        snapshots.disk.run(move || make().map_err(failed)).await?;
        let lock = Arc::new(StoreLock::take(&lock, Hold::Alone).await.map_err(FetchError::disk("lock", &lock))?);
        let wanted = file.wanted();
        let (look, expected, size) = (place.clone(), wanted.expected, wanted.size);
        let failed = FetchError::disk("look for a file", &place);
        let found = move || match wanted::check(&look, &expected, size)? {
            false => durable::remove_file(&look).map(|()| false),
            true => Ok(true),
        };
        let bytes = file.size.roughly().unwrap_or(0);
        if !snapshots.disk.run(move || found().map_err(failed)).await? {
            let limit_bytes =
                snapshots.available().await?.map_or(u64::MAX, |free| free.saturating_sub(snapshots.reserve_bytes));
            let job = Job { wanted, part, place, limit_bytes, slots, lock };
            let named = |failure| of_file(failure, model, &file.path);
            snapshots.downloader.run(&job, progress).await.map_err(named)?;
        }
        progress.transferred(Transferred { bytes_done: bytes, bytes_total: bytes });
        Ok(())
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

/// What the failure of a transfer is for `file` of `model`.
fn of_file(failure: Failure, model: &RemoteModel, file: &RepoPath) -> FetchError {
    let (provider, model, file) = (model.provider, model.name.clone(), file.clone());
    match failure {
        Failure::Final(error) => error,
        Failure::Refused(status) => ProviderError::Refused { provider, model, file, status }.into(),
        Failure::Wrong => ProviderError::Mismatch { model, file }.into(),
        Failure::Passing(source) => ProviderError::Transfer { model, file, source }.into(),
    }
}
