//! The files of a provider's model on their way: room for them, and each in its place.

use std::{collections::BTreeMap, path::Path, sync::Arc};

use futures::{StreamExt as _, TryStreamExt as _, stream};
use gen_worker_hub::RepoPath;
use tokio::sync::Semaphore;

use crate::{
    download::{Failure, Job},
    durable,
    fetch_error::FetchError,
    lock::Hold,
    progress::{Progress, Share, Sum, Transferred},
    providers::{FilePlace, ProviderError, RemoteFile, RemoteModel},
    room::Claim,
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
        let (layout, model) = (self.room.layout.clone(), Arc::clone(model));
        let len = |path: &Path| std::fs::symlink_metadata(path).ok().filter(|at| at.is_file()).map(|at| at.len());
        self.room
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

    /// Space for what is missing (rule 8.9), where the files go. Who calls holds what they are part of.
    pub(super) async fn make_room(
        &self,
        reference: &str,
        root: &Path,
        missing: u64,
    ) -> Result<Option<Claim>, FetchError> {
        let (layout, at) = (self.room.layout.clone(), root.to_owned());
        let same = move || {
            std::fs::create_dir_all(&at).map_err(FetchError::disk("make of a directory", &at))?;
            Ok(durable::same_device(&at, layout.root()))
        };
        if self.room.disk.run(same).await? {
            return self.room.make(missing, Some(reference)).await;
        }
        // What is evicted is on the disk of the store: elsewhere that helps nobody.
        let required_bytes = self.room.required_bytes(missing);
        match self.room.available_at(root).await? {
            Some(available_bytes) if missing > 0 && available_bytes < required_bytes => {
                Err(FetchError::InsufficientDisk { path: root.to_owned(), required_bytes, available_bytes })
            }
            // Nor is what others were promised.
            _ => Ok(None),
        }
    }

    /// All of `incoming`, within the time that there is for it (rule 4.16). What came is kept.
    pub(super) async fn transfer(
        &self,
        model: &Arc<RemoteModel>,
        incoming: Vec<Incoming>,
        reporter: Arc<dyn Progress>,
    ) -> Result<(), FetchError> {
        let all = self.transfer_all(model, incoming, reporter);
        let Some(limit) = model.guards.whole else { return all.await };
        let late = |_| ProviderError::TooLong { model: model.name.clone(), limit };
        tokio::time::timeout(limit, all).await.map_err(late)?
    }

    async fn transfer_all(
        &self,
        model: &Arc<RemoteModel>,
        incoming: Vec<Incoming>,
        reporter: Arc<dyn Progress>,
    ) -> Result<(), FetchError> {
        let total = incoming.iter().filter_map(|next| next.file.size.roughly()).fold(0u64, u64::saturating_add);
        let there = incoming.iter().map(|next| next.there).fold(0u64, u64::saturating_add);
        let sum = Arc::new(Sum::of(total));
        reporter.transferred(sum.moved(0, there));
        let slots = Arc::new(Semaphore::new(self.downloader.blobs_at_once()));
        let transfers = incoming.into_iter().map(|next| {
            let share = Share::new(&sum, next.there, &reporter);
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
        let room = &self.room;
        let (root, dirs) = (model.place.root().to_owned(), [place.clone(), lock.clone()]);
        let base = if lock.starts_with(&root) { root.clone() } else { room.layout.root().to_owned() };
        let failed = FetchError::disk("make of a directory", &place);
        let make = move || {
            dirs.iter()
                .zip([&root, &base])
                .try_for_each(|(path, root)| path.parent().map_or(Ok(()), |dir| durable::make_dirs(root, dir)))
        };
        room.disk.run(move || make().map_err(failed)).await?;
        let lock = Arc::new(room.lock(lock, Hold::Alone).await?);
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
        if !room.disk.run(move || found().map_err(failed)).await? {
            let limit_bytes = room
                .available_at(model.place.root())
                .await?
                .map_or(u64::MAX, |free| free.saturating_sub(room.reserve_bytes));
            let job = Job { wanted, part, place, limit_bytes, stall: model.guards.stall, slots, lock };
            let named = |failure| of_file(failure, model, &file.path);
            self.downloader.run(&job, progress).await.map_err(named)?;
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
