//! Models of the store: brought by snapshot, found on disk, or resolved with the hub (model contract, section 3). Owns what the
//! worker knows of the disk, and how many models come at once.
//!
//! ```text
//! snapshot ────────────────────────────> files ──> store (3.1: nobody else is asked)
//! none ──> on disk as it came before ─────────────────> held (a tag: when no hub can be asked what it is now)
//!      ├─> hub, where one may be asked ──> files ──> store, with one more resolve when addresses expire (3.9)
//!      └─> its own provider ──────────────────────> store (as it is on disk when its provider cannot be reached)
//! ```

mod failure;
mod files;
mod name;
mod presence;

use std::{collections::BTreeSet, sync::Arc};

use futures::future::BoxFuture;
use gen_worker_hub::{HubRef, ModelRef, api::Resolved, client::HubClient, names::SnapshotId};
use gen_worker_proto::pb;
use gen_worker_store::{
    FetchError, FormatGate, HeldModel, ModelRequest, Progress, ProviderError, Reach, Store, StoreOptions, Transferred,
    Verified,
};
use gen_worker_tasks::Cancel;
use tokio::sync::Semaphore;
use tracing::warn;

use crate::{
    binding::Binding,
    model_source::{FetchProgress, FetchedModel, ModelError, ModelResidency, ModelSource, TellEvicted, Tier},
};
use name::Name;
use presence::Presence;

/// Who is asked for what is not on disk when no snapshot came.
pub enum Upstream {
    /// Nobody: the orchestrator sends snapshots.
    Orchestrator,
    /// Nobody: no connection is made.
    Offline,
    /// The hub.
    Hub(Box<HubClient>),
    /// The hub, but nobody said where it is.
    NoHub,
}

/// Options of [`StoreModels`].
pub struct StoreModelsOptions {
    /// The store. Its observer is replaced.
    pub store: StoreOptions,
    /// Who is asked without a snapshot.
    pub upstream: Upstream,
    /// What the author of the endpoint declares: weights of these may be of any format. All others are a caller's choice
    /// and have to be safe to load (rule 11.2).
    pub declared: Vec<Binding>,
    /// Models that are downloaded at once; 0 = no limit.
    pub downloads: usize,
    /// How often one is tried.
    pub tries: u32,
}

/// Models of one store.
pub struct StoreModels {
    store: Store,
    presence: Arc<Presence>,
    upstream: Upstream,
    /// Keys.
    declared: BTreeSet<String>,
    downloads: Semaphore,
    tries: u32,
}

impl StoreModels {
    /// Opens the store. What is in it is held from here on, as far as [`ModelSource::residency`] goes.
    ///
    /// # Errors
    /// As [`Store::open`].
    pub async fn open(options: StoreModelsOptions, cancel: &Cancel) -> Result<Self, FetchError> {
        let StoreModelsOptions { store, upstream, declared, downloads, tries } = options;
        let presence = Arc::new(Presence::default());
        let declared: Vec<_> = declared.iter().map(Name::of_binding).collect();
        declared.iter().for_each(|name| presence.learn(name));
        let declared = declared.into_iter().map(|name| name.key).collect();
        let store = Store::open(StoreOptions { observer: presence.clone(), ..store }, cancel).await?;
        let downloads = if downloads == 0 { Semaphore::MAX_PERMITS } else { downloads.min(Semaphore::MAX_PERMITS) };
        Ok(Self { store, presence, upstream, declared, downloads: Semaphore::new(downloads), tries })
    }

    /// The store.
    #[must_use]
    pub fn store(&self) -> &Store {
        &self.store
    }

    async fn get(
        &self,
        binding: &Binding,
        snapshot: Option<&pb::Snapshot>,
        progress: &dyn FetchProgress,
    ) -> Result<FetchedModel, ModelError> {
        let Some(snapshot) = snapshot else {
            let reference = binding.wire_ref();
            let request = ModelRequest::of_binding(binding).map_err(|error| failure::refused(&reference, error))?;
            return self.pull(&reference, &request, progress).await;
        };
        let name = Name::of_binding(binding);
        self.presence.learn(&name);
        let resolved = files::of_snapshot(snapshot).map_err(|error| failure::refused(&name.wire, error))?;
        let brought = self.bring(&name, &resolved, progress).await;
        brought.map(fetched).map_err(|error| failure::of(&name.wire, error))
    }

    /// The files of `resolved`. A model that is there does not wait for those that are coming (rule 13.1).
    async fn bring(
        &self,
        name: &Name,
        resolved: &Resolved,
        progress: &dyn FetchProgress,
    ) -> Result<HeldModel, FetchError> {
        let _turn = match self.store.is_present(resolved).await? {
            true => None,
            // Never closed.
            false => self.downloads.acquire().await.ok(),
        };
        self.store.fetch(&name.key, resolved, self.gate(name), &Told(progress)).await
    }

    /// The model of `request`, which is called `reference` on the wire, without a snapshot: from the hub, or from its own provider.
    ///
    /// # Errors
    /// As [`ModelSource::fetch`].
    ///
    /// # Cancel safety
    /// As [`ModelSource::fetch`].
    pub async fn pull(
        &self,
        reference: &str,
        request: &ModelRequest,
        progress: &dyn FetchProgress,
    ) -> Result<FetchedModel, ModelError> {
        let name = Name::of(reference, request);
        self.presence.learn(&name);
        let held = match request.reference() {
            ModelRef::Hub(wanted) => self.of_hub(&name, wanted, progress).await?,
            _ => self.of_provider(&name, request, progress).await?,
        };
        Ok(fetched(held))
    }

    /// What is here already as far as nobody has to be asked, else what the hub says, if one may be asked.
    async fn of_hub(
        &self,
        name: &Name,
        wanted: &HubRef,
        progress: &dyn FetchProgress,
    ) -> Result<HeldModel, ModelError> {
        let reference = &name.wire;
        let held = self.present(name, wanted).await.map_err(|error| failure::of(reference, error))?;
        if let Some(held) = held {
            return Ok(held);
        }
        match &self.upstream {
            Upstream::Hub(client) => self.resolve(client, wanted, name, progress).await,
            Upstream::Orchestrator => Err(ModelError::MissingSnapshot(reference.clone())),
            Upstream::Offline => Err(ModelError::Offline(reference.clone())),
            Upstream::NoHub => Err(ModelError::NoHub(reference.clone())),
        }
    }

    /// What is on disk for `wanted`: a ref pinned to a digest means the same for ever (C-51), and a tag what it meant the last
    /// time, when no hub can be asked for what it means now (rule 3.8, C-54).
    async fn present(&self, name: &Name, wanted: &HubRef) -> Result<Option<HeldModel>, FetchError> {
        let mut held = match (pinned(wanted), &self.upstream) {
            (Some(id), _) => self.store.find_snapshot(&name.key, &id).await?,
            (None, Upstream::Offline | Upstream::NoHub) => self.store.recall(&name.key, wanted).await?,
            (None, Upstream::Hub(_) | Upstream::Orchestrator) => None,
        };
        if held.is_none() && !matches!(self.upstream, Upstream::Hub(_)) {
            held = self.store.find(&name.key).await?;
        }
        self.gated(name, held).await
    }

    /// What was found is held only if it may be loaded (rule 11.2).
    async fn gated(&self, name: &Name, held: Option<HeldModel>) -> Result<Option<HeldModel>, FetchError> {
        if let Some(model) = held.as_ref().filter(|_| self.gate(name) == FormatGate::SafeOnly) {
            self.store.check_safe(model).await?;
        }
        Ok(held)
    }

    async fn of_provider(
        &self,
        name: &Name,
        request: &ModelRequest,
        progress: &dyn FetchProgress,
    ) -> Result<HeldModel, ModelError> {
        let reference = &name.wire;
        // The orchestrator may have sent a snapshot of it once: that is as good (rule 3.4).
        let found = async || self.gated(name, self.store.find(&name.key).await?).await;
        if let Some(held) = found().await.map_err(|error| failure::of(reference, error))? {
            return Ok(held);
        }
        let told = Told(progress);
        let fetch = |reach| self.store.fetch_provided(&name.key, request, reach, self.gate(name), &told);
        let is_offline = matches!(self.upstream, Upstream::Offline);
        // What is there does not wait for what is coming (rule 13.1).
        let held = match fetch(if is_offline { Reach::Offline } else { Reach::Noted }).await {
            Err(FetchError::Provider(error)) if matches!(*error, ProviderError::NotLocal { .. }) => {
                if is_offline {
                    return Err(ModelError::Offline(reference.clone()));
                }
                // Never closed.
                let _turn = self.downloads.acquire().await.ok();
                match fetch(Reach::Cached).await {
                    Err(error) if is_unreachable(&error) => fetch(Reach::Offline).await.map_err(|_| error),
                    held => held,
                }
            }
            held => held,
        };
        held.map_err(|error| failure::of(reference, error))
    }

    fn gate(&self, name: &Name) -> FormatGate {
        if self.declared.contains(&name.key) { FormatGate::Any } else { FormatGate::SafeOnly }
    }

    /// Asks the hub, and once more when the addresses it gave have expired meanwhile (rule 3.9).
    async fn resolve(
        &self,
        client: &HubClient,
        wanted: &HubRef,
        name: &Name,
        progress: &dyn FetchProgress,
    ) -> Result<HeldModel, ModelError> {
        let reference = &name.wire;
        let resolve = async || client.resolve(wanted).await.map_err(|error| failure::of_hub(reference, error));
        let mut resolved = resolve().await?;
        let brought = match self.bring(name, &resolved, progress).await {
            Err(FetchError::UrlExpired { .. }) => {
                progress.resolving_again();
                resolved = resolve().await?;
                self.bring(name, &resolved, progress).await
            }
            brought => brought,
        };
        let held = brought.map_err(|error| failure::of(reference, error))?;
        // A disk that takes no note does not take the model back.
        if let Err(error) = self.store.remember(wanted, &resolved.snapshot).await {
            warn!(model = %reference, error = &error as &dyn std::error::Error, "what a ref is now cannot be noted");
        }
        Ok(held)
    }

    async fn check(&self, binding: &Binding, snapshot: Option<&pb::Snapshot>) -> Result<bool, ModelError> {
        let name = Name::of_binding(binding);
        let sound = match snapshot {
            Some(snapshot) => {
                let resolved = files::of_snapshot(snapshot).map_err(|error| failure::refused(&name.wire, error))?;
                self.store.is_sound(&resolved).await
            }
            // What is not there any more comes anew as well.
            None => {
                let found = self.store.verify(&name.key).await;
                found.map(|found| matches!(found, Verified::Sound | Verified::SoundStructure))
            }
        };
        sound.map_err(|error| failure::of(&name.wire, error))
    }
}

impl ModelSource for StoreModels {
    fn fetch<'a>(
        &'a self,
        binding: &'a Binding,
        snapshot: Option<&'a pb::Snapshot>,
        progress: &'a dyn FetchProgress,
    ) -> BoxFuture<'a, Result<FetchedModel, ModelError>> {
        Box::pin(self.get(binding, snapshot, progress))
    }

    fn is_sound<'a>(
        &'a self,
        binding: &'a Binding,
        snapshot: Option<&'a pb::Snapshot>,
    ) -> BoxFuture<'a, Result<bool, ModelError>> {
        Box::pin(self.check(binding, snapshot))
    }

    fn tries(&self) -> u32 {
        self.tries
    }

    fn residency(&self) -> Vec<ModelResidency> {
        let held = |reference| ModelResidency { reference, tier: Tier::Disk, vram_bytes: 0 };
        self.presence.refs().into_iter().map(held).collect()
    }

    fn spare(&self, keep: &[String]) {
        self.store.spare(keep.iter().flat_map(|wire| self.presence.keys(wire)));
    }

    fn on_evicted(&self, tell: TellEvicted) {
        self.presence.tell(tell);
    }
}

fn fetched(held: HeldModel) -> FetchedModel {
    FetchedModel::held(held.dir().to_owned(), held)
}

/// Whether a provider could not even be asked: then what is on disk, whoever put it there, is better than nothing.
fn is_unreachable(error: &FetchError) -> bool {
    matches!(error, FetchError::Provider(error) if matches!(**error, ProviderError::Unavailable { .. }))
}

/// The tree that a ref is pinned to: our hub calls trees by their digest.
fn pinned(wanted: &HubRef) -> Option<SnapshotId> {
    wanted.digest()?.whole()?.to_string().split_once(':')?.1.parse().ok()
}

/// What the store tells, for whoever asked.
struct Told<'a>(&'a dyn FetchProgress);

impl Progress for Told<'_> {
    fn transferred(&self, so_far: Transferred) {
        self.0.fetched(so_far.bytes_done, so_far.bytes_total);
    }
}

#[cfg(test)]
mod tests;
