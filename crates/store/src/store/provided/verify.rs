//! All bytes of a provider's model again (rules 6.25, 6.26).

use std::{io, path::Path, sync::Arc};

use gen_worker_hub::RepoPath;
use tracing::warn;

use crate::{
    blob::is_damage,
    fetch_error::FetchError,
    providers::{Receipt, ReceivedFile, is_safe},
    quarantine::{quarantine_file, take_refs},
    room::Room,
    safetensors::check_safetensors,
    store::{Store, Verified},
    wanted::{self, Expected, Size},
};

impl Store {
    /// Hashes the model in `dir`, which is of a provider. Damaged files are taken away, and its refs with them.
    pub(in crate::store) async fn verify_provided(&self, dir: &Path) -> Result<Verified, FetchError> {
        let held = self.hold(&self.unit(dir)).await?;
        let (room, dir) = (Arc::clone(&self.room), dir.to_owned());
        let failed = FetchError::disk("check of a model", &dir);
        let check = move || {
            // Held to the end, also when nobody waits for it any more.
            let _held = held;
            check(&room, &dir).map_err(failed)
        };
        self.room.disk.run(check).await
    }
}

fn check(room: &Room, dir: &Path) -> io::Result<Verified> {
    let Some(receipt) = Receipt::of_dir(&room.layout, dir)? else {
        take_refs(room, |path| path == dir)?;
        return Ok(Verified::Absent);
    };
    let mut damaged: Vec<RepoPath> = Vec::new();
    for file in &receipt.files {
        let at = receipt.target(&file.path);
        let is_right = at.as_deref().map_or(Ok(false), |at| is_right(file, at))?;
        if !is_right {
            warn!(dir = %dir.display(), file = %file.path, "a model on disk is damaged");
            // One that is nowhere has nothing to be taken away; its model is not there either.
            quarantine_file(room, dir, at.as_deref().unwrap_or(&dir.join(file.path.as_str())))?;
            damaged.push(file.path.clone());
        }
    }
    let is_known = receipt.files.iter().all(|file| file.expected() != Expected::Unsaid);
    Ok(match (damaged.is_empty(), is_known) {
        (false, _) => Verified::Damaged(damaged),
        (true, true) => Verified::Sound,
        (true, false) => Verified::SoundStructure,
    })
}

/// Whether what is at `at` is `file`, as far as anybody said. What the disk cannot read any more is not.
fn is_right(file: &ReceivedFile, at: &Path) -> io::Result<bool> {
    let look = || {
        let right = wanted::check(at, &file.expected(), Size::Exactly(file.bytes))?;
        let is_weights = right && file.expected() == Expected::Unsaid && is_safe(&file.path);
        Ok(if is_weights { check_safetensors(at)?.is_ok() } else { right })
    };
    look().or_else(|error: io::Error| if is_damage(&error) { Ok(false) } else { Err(error) })
}
