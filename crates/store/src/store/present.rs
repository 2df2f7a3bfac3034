//! Models that are here already: held, and checked, without asking anybody what they should be.

use std::sync::Arc;

use gen_worker_hub::{RepoPath, api::Resolved, names::SnapshotId};

use super::{HeldModel, Store};
use crate::{
    fetch_error::FetchError,
    integrity::Presence,
    quarantine::take_refs,
    snapshots::{Look, check_safe},
    tree::Tree,
};

/// What a check of a model found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verified {
    /// There is no such model.
    Absent,
    /// All its bytes are right.
    Sound,
    /// Nobody says the digests of all its files, or it came before they were noted: its weights have the right structure, more is
    /// not known.
    SoundStructure,
    /// These files were not what they have to be. The model is gone, and comes anew when it is fetched.
    Damaged(Vec<RepoPath>),
}

impl Store {
    /// The model that `reference` was fetched as the last time, as it is on disk. None without one, or with one that turns out to
    /// be damaged, which is gone by then. Nothing is asked of any server.
    ///
    /// The first look of a process hashes it (rule 6.23); later ones look at names and sizes.
    ///
    /// # Errors
    /// [`FetchError::Disk`].
    ///
    /// # Cancel safety
    /// May be dropped.
    pub async fn find(&self, reference: &str) -> Result<Option<HeldModel>, FetchError> {
        match self.tree_of(reference).await? {
            Some(id) => self.find_snapshot(reference, &id).await,
            None => Ok(None),
        }
    }

    /// As [`Store::find`], of the tree called `id`, whatever `reference` was fetched as before.
    ///
    /// # Errors
    /// [`FetchError::Disk`].
    ///
    /// # Cancel safety
    /// May be dropped.
    pub async fn find_snapshot(&self, reference: &str, id: &SnapshotId) -> Result<Option<HeldModel>, FetchError> {
        let Some(model) = self.whole(id).await? else { return Ok(None) };
        let (index, name, path) = (self.room.index.clone(), reference.to_owned(), model.dir.clone());
        let noted = move || index.record(&name, &path).map_err(FetchError::disk("note a model", &path));
        if self.room.disk.run(noted).await? {
            self.room.observer.on_disk(reference);
        }
        Ok(Some(model))
    }

    /// The tree called `id`, if all of it is there.
    pub(super) async fn whole(&self, id: &SnapshotId) -> Result<Option<HeldModel>, FetchError> {
        let dir = self.room.layout.snapshot(id);
        let held = self.hold(&dir).await?;
        let is_whole = matches!(self.examine(id, false).await?, Look::Whole { .. });
        Ok(is_whole.then_some(HeldModel { dir, _use: held }))
    }

    /// Whether a model that was found may be loaded when it was not its author who chose it (rule 11.2). Those that come are
    /// checked as they come. What cannot be looked into, such as a link to a directory, is refused.
    ///
    /// # Errors
    /// [`FetchError::Format`] when it may not, [`FetchError::Disk`].
    pub async fn check_safe(&self, model: &HeldModel) -> Result<(), FetchError> {
        let dir = model.dir().to_owned();
        let failed = FetchError::disk("look into weights", &dir);
        self.room.disk.run(move || check_safe(&dir).map_err(failed)?.map_err(FetchError::Format)).await
    }

    /// Whether all files of `resolved` are there with their sizes. Nothing is hashed.
    ///
    /// # Errors
    /// [`FetchError::Disk`], and [`FetchError::Tree`] when it is no tree.
    pub async fn is_present(&self, resolved: &Resolved) -> Result<bool, FetchError> {
        let tree = Arc::new(Tree::of(resolved).map_err(FetchError::Tree)?);
        Ok(self.snapshots.presence(&tree).await? == Presence::Whole)
    }

    /// Hashes all of the model of `reference`. What is damaged is taken away (rule 6.25), and its refs are told to be evicted.
    ///
    /// # Errors
    /// [`FetchError::Disk`].
    ///
    /// # Cancel safety
    /// May be dropped.
    pub async fn verify(&self, reference: &str) -> Result<Verified, FetchError> {
        let Some(id) = self.tree_of(reference).await? else {
            return match self.models().await?.remove(reference) {
                Some(model) => self.verify_provided(&model.path).await,
                None => Ok(Verified::Absent),
            };
        };
        let _held = self.hold(&self.room.layout.snapshot(&id)).await?;
        Ok(match self.examine(&id, true).await? {
            Look::Absent => Verified::Absent,
            Look::Whole { hashed: true } => Verified::Sound,
            Look::Whole { hashed: false } => Verified::SoundStructure,
            Look::Damaged(files) => Verified::Damaged(files),
        })
    }

    /// Which tree of this store the index has for `reference`.
    async fn tree_of(&self, reference: &str) -> Result<Option<SnapshotId>, FetchError> {
        let layout = &self.room.layout;
        let model = self.models().await?.remove(reference);
        let unit = model.and_then(|model| layout.eviction_unit(&model.path));
        Ok(unit.and_then(|unit| layout.snapshot_at(&unit)))
    }

    /// Looks at a tree. Of one that is not there, or not any more, no ref is left.
    async fn examine(&self, id: &SnapshotId, again: bool) -> Result<Look, FetchError> {
        let found = self.snapshots.look(id, again).await?;
        if !matches!(found, Look::Whole { .. }) {
            let (room, unit) = (Arc::clone(&self.room), self.room.layout.snapshot(id));
            let failed = FetchError::disk("forget a model", &self.room.layout.index());
            let left = move || {
                take_refs(&room, |path| room.layout.eviction_unit(path).as_ref() == Some(&unit)).map_err(failed)
            };
            self.room.disk.run(left).await?;
        }
        Ok(found)
    }
}
