//! What a store needs to know, and who hears from it.

use std::{path::PathBuf, sync::Arc};

use crate::{
    disk_space::{DiskSpace, FileSystemSpace},
    download::TransferOptions,
    providers::ProviderOptions,
};

/// Options of a [`super::Store`].
pub struct StoreOptions {
    /// Where everything is. Made when it is not there.
    pub root: PathBuf,
    /// The numbers of transfers.
    pub transfer: TransferOptions,
    /// How much fits.
    pub space: Arc<dyn DiskSpace>,
    /// Space that is made before a download, beyond its bytes (rule 8.3).
    pub headroom_bytes: u64,
    /// Space that a download leaves (rule 6.14).
    pub reserve_bytes: u64,
    /// Where models of others come from.
    pub providers: ProviderOptions,
    /// Who hears what happens.
    pub observer: Arc<dyn StoreObserver>,
}

/// Which weights a model may have (section 11).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FormatGate {
    /// Only safetensors, and whole ones: a caller chose the model.
    SafeOnly,
    /// Any: the author of the endpoint chose the model.
    Any,
}

impl StoreOptions {
    /// The numbers of the contract, for the store in `root`.
    #[must_use]
    pub fn new(root: impl Into<PathBuf>) -> Self {
        let root = root.into();
        Self {
            providers: ProviderOptions::new(&root),
            root,
            transfer: TransferOptions::default(),
            space: Arc::new(FileSystemSpace),
            headroom_bytes: 2 << 30,
            reserve_bytes: 1 << 30,
            observer: Arc::new(Unobserved),
        }
    }
}

/// Hears what happens to models. Called from any task; must not block.
pub trait StoreObserver: Send + Sync {
    /// A model is on disk now.
    fn on_disk(&self, _reference: &str) {}
    /// A model has left.
    fn evicted(&self, _reference: &str) {}
}

/// Nobody wants to know.
#[derive(Clone, Copy, Debug, Default)]
pub struct Unobserved;

impl StoreObserver for Unobserved {}
