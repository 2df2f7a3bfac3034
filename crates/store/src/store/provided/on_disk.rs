//! Models of providers that are on disk: found, checked, and what is damaged taken away.

use std::sync::Arc;

use gen_worker_hub::RepoPath;
use tracing::warn;

use super::{FormatGate, Store};
use crate::{
    fetch_error::FetchError,
    format_gate::{FormatError, check_names},
    lock::StoreLock,
    providers::{ModelRequest, Reach, Receipt, is_safe},
    quarantine::quarantine_file,
    ref_index::Models,
    safetensors::check_safetensors,
};

/// What there is for a request.
pub(super) enum OnDisk {
    /// All of it, held.
    Whole(Receipt, StoreLock),
    /// A file was damaged and is gone. The refs that had it.
    Damaged(Models),
    /// Not all of it.
    Nothing,
}

impl Store {
    /// What is on disk for `request`, when that is all of it and whole (rules 3.4, 3.8, 6.23).
    pub(super) async fn on_disk(&self, request: &ModelRequest, reach: Reach) -> Result<OnDisk, FetchError> {
        let at = self.room.layout.receipt(&self.providers.key(request));
        let noted = move || Ok(Receipt::read(&at).filter(Receipt::is_whole));
        let found = match self.room.disk.run(noted).await? {
            Some(receipt) => Some(receipt),
            // What others put there may be a part, or chosen by other rules: good enough only when there is no other.
            None if reach == Reach::Offline => self.providers.found(request).await?,
            None => None,
        };
        let Some(receipt) = found else { return Ok(OnDisk::Nothing) };
        let Some(held) = self.hold_whole(&receipt).await? else { return Ok(OnDisk::Nothing) };
        match self.headers(&receipt).await? {
            Ok(()) => Ok(OnDisk::Whole(receipt, held)),
            Err(FormatError::Broken { file, source: error }) => {
                warn!(model = %request.reference(), %file, error = &error as &dyn std::error::Error, "a model on disk is damaged");
                self.quarantine_file(&receipt, &file).await.map(OnDisk::Damaged)
            }
            Err(error) => Err(FetchError::Format(error)),
        }
    }

    /// Holds the model of `receipt`; none when it is not whole any more.
    pub(super) async fn hold_whole(&self, receipt: &Receipt) -> Result<Option<StoreLock>, FetchError> {
        let held = self.hold(&self.unit(&receipt.dir)).await?;
        let look = receipt.clone();
        let whole = self.room.disk.run(move || Ok(look.is_whole())).await?;
        Ok(whole.then_some(held))
    }

    /// Whether what is on disk may be loaded (section 11).
    pub(super) async fn gate(&self, receipt: &Receipt, gate: FormatGate) -> Result<(), FetchError> {
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
        self.room.disk.run(move || check().map_err(failed)).await
    }

    /// Takes a damaged file away: the next who wants it brings it anew (rule 6.25). Gives the refs of its model.
    async fn quarantine_file(&self, receipt: &Receipt, file: &RepoPath) -> Result<Models, FetchError> {
        let Some(at) = receipt.target(file) else { return Ok(Models::new()) };
        let (room, dir) = (Arc::clone(&self.room), receipt.dir.clone());
        let failed = FetchError::disk("quarantine of a file", &at);
        self.room.disk.run(move || quarantine_file(&room, &dir, &at).map_err(failed)).await
    }
}
