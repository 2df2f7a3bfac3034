//! The files of a provider's model on their way: room for them, and each in its place.

use std::{collections::BTreeMap, path::Path, sync::Arc};

use futures::{StreamExt as _, TryStreamExt as _, stream};
use gen_worker_hub::RepoPath;
use tokio::sync::Semaphore;

use crate::{
    download::{Failure, Job},
    durable,
    fetch_error::FetchError,
    lock::{Hold, StoreLock},
    progress::{Progress, Sum, Transferred},
    providers::{FilePlace, ProviderError, RemoteFile, RemoteModel},
    snapshots::Share,
    store::Store,
    wanted,
};

/// Files that are looked at, transferred or made durable at once. Transfers are fewer.
const FILES_AT_ONCE: usize = 32;

/// One file that is to come, and how much of it is there.
pub(super) struct Incoming {
    pub(super) file: RemoteFile,
    at: FilePlace,
    pub(super) there: u64,
}

impl Store {
    /// The files of `model`, each place once, and what is there of each: complete ones by their size, others by their parts.
    pub(super) async fn incoming(&self, model: &Arc<RemoteModel>) -> Result<Vec<Incoming>, FetchError> {
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
    pub(super) async fn room(&self, reference: &str, root: &Path, missing: u64) -> Result<(), FetchError> {
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

    pub(super) async fn transfer(
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
        let guard = Arc::clone(&lock);
        let found = move || {
            // Held to the end, also when nobody waits for it any more.
            let _guard = guard;
            match wanted::check(&look, &expected, size)? {
                false => durable::remove_file(&look).map(|()| false),
                true => Ok(true),
            }
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
