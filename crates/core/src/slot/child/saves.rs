//! Files that the handler of a child wants saved: the worker saves them, it has the token. Owns who waits for which answer.

use std::{
    collections::HashMap,
    os::unix::ffi::OsStrExt as _,
    sync::Arc,
    sync::atomic::{AtomicU64, Ordering},
};

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

use crate::{
    saves::{Asset, Save, SaveContent},
    slot::{
        frame::{self, Saved},
        saves::SAVES_MAX,
        translate,
    },
    worker_error::{Result, WorkerError},
};

/// Bytes of a file in one frame: few frames, and little in memory beside the file.
const PIECE_BYTES: usize = 4 * 1024 * 1024;

/// Saves of one call that have no answer yet.
#[derive(Debug)]
pub(super) struct Saves {
    next: AtomicU64,
    room: Arc<Semaphore>,
    waiting: Mutex<HashMap<u64, oneshot::Sender<Result<Asset>>>>,
}

/// One of them. Nobody waits any more when it drops.
pub(super) struct Waiting {
    id: u64,
    saves: Arc<Saves>,
    answer: oneshot::Receiver<Result<Asset>>,
    _room: OwnedSemaphorePermit,
}

impl Default for Saves {
    fn default() -> Self {
        Self { next: AtomicU64::new(0), room: Arc::new(Semaphore::new(SAVES_MAX)), waiting: Mutex::default() }
    }
}

impl Saves {
    /// Begins to wait for the answer to a new save.
    pub(super) async fn expect(self: &Arc<Self>) -> Result<Waiting> {
        // Nobody closes the semaphore.
        let room = self.room.clone().acquire_owned().await.map_err(|_| WorkerError::canceled())?;
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let (sender, answer) = oneshot::channel();
        self.waiting.lock().insert(id, sender);
        Ok(Waiting { id, saves: self.clone(), answer, _room: room })
    }

    /// The worker answered. Nothing happens when nobody waits any more.
    pub(super) fn answered(&self, saved: Saved) {
        if let Some(waiting) = self.waiting.lock().remove(&saved.id) {
            drop(waiting.send(translate::save_outcome(saved)));
        }
    }
}

impl Waiting {
    pub(super) fn id(&self) -> u64 {
        self.id
    }

    pub(super) async fn answer(mut self) -> Result<Asset> {
        (&mut self.answer).await.unwrap_or_else(|_| Err(WorkerError::canceled()))
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.saves.waiting.lock().remove(&self.id);
    }
}

/// The frames that say `save`.
///
/// # Errors
/// When the directory of the process, which a relative path starts from, is gone.
pub(super) fn pieces(id: u64, save: Save) -> Result<impl Iterator<Item = frame::Save>> {
    let Save { reference, content, create } = save;
    let (path, mut rest) = match content {
        SaveContent::Bytes(bytes) => (None, bytes),
        SaveContent::File(path) => {
            let path = std::path::absolute(path).map_err(|error| WorkerError::resource(error.to_string()))?;
            (Some(Bytes::copy_from_slice(path.as_os_str().as_bytes())), Bytes::new())
        }
    };
    let mut last = Some((reference, path));
    Ok(std::iter::from_fn(move || {
        let data = rest.split_to(rest.len().min(PIECE_BYTES));
        if !rest.is_empty() {
            return Some(frame::Save { id, data, more: true, ..frame::Save::default() });
        }
        let (reference, path) = last.take()?;
        Some(frame::Save { id, reference, path, data, more: false, create })
    }))
}

#[cfg(test)]
mod tests {
    //! Pieces add up.
    use super::*;

    #[test]
    fn bytes_travel_in_pieces_and_paths_whole() {
        for bytes in [0, 1, PIECE_BYTES, PIECE_BYTES + 1, 3 * PIECE_BYTES] {
            let content = SaveContent::Bytes(vec![7; bytes].into());
            let frames: Vec<_> =
                pieces(3, Save { reference: "a".into(), content, create: true }).expect("frames").collect();
            assert_eq!(frames.len(), bytes.div_ceil(PIECE_BYTES).max(1));
            assert_eq!(frames.iter().map(|frame| frame.data.len()).sum::<usize>(), bytes);
            let (last, others) = frames.split_last().expect("a frame");
            assert!(!last.more && last.create && last.reference == "a" && others.iter().all(|frame| frame.more));
        }
        let content = SaveContent::File("b".into());
        let frames: Vec<_> =
            pieces(3, Save { reference: "a".into(), content, create: true }).expect("frames").collect();
        assert!(frames[0].path.as_ref().is_some_and(|path| path.starts_with(b"/") && path.ends_with(b"/b")));
    }
}
