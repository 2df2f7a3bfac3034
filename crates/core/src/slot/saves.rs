//! Files that the handler of a slot wants saved, from the worker's side. Owns what has come of them and the saves that go on.

use std::{collections::HashMap, sync::Arc};

use bytes::BytesMut;
use futures::{FutureExt as _, StreamExt as _, future::BoxFuture, stream::FuturesUnordered};

use super::{
    frame::{self, Saved},
    translate,
};
use crate::{
    saves::{Asset, FILE_BYTES_MAX, FileSaver, Save, SaveContent},
    worker_error::{Result, WorkerError},
};

/// Saves of one call at once: more would wait for the same connections. A handler that wants more waits in the child.
pub(super) const SAVES_MAX: usize = 64;

/// A child that does not keep to the bound.
#[derive(Clone, Copy, Debug)]
pub(super) struct TooMany;

/// Saves of one call. Dropped with it, and what goes on with them.
#[derive(Default)]
pub(super) struct Saves {
    pieces: HashMap<u64, Result<BytesMut>>,
    running: FuturesUnordered<BoxFuture<'static, Saved>>,
}

impl Saves {
    /// A frame came.
    ///
    /// # Errors
    /// When the child has more saves on their way than it may.
    pub(super) fn asked(&mut self, frame: frame::Save, saver: &Arc<dyn FileSaver>) -> Result<(), TooMany> {
        let frame::Save { id, reference, path, data, more, create } = frame;
        let before = self.pieces.remove(&id);
        if self.pieces.len() + self.running.len() >= SAVES_MAX {
            return Err(TooMany);
        }
        let content = match (path, before) {
            (Some(path), _) => Ok(SaveContent::File(translate::path(&path))),
            (None, None) if !more => Ok(SaveContent::Bytes(data)),
            (None, before) => {
                let gathered = before.unwrap_or_else(|| Ok(BytesMut::new())).and_then(|bytes| gathered(bytes, &data));
                if more {
                    self.pieces.insert(id, gathered);
                    return Ok(());
                }
                gathered.map(|bytes| SaveContent::Bytes(bytes.freeze()))
            }
        };
        let saving: BoxFuture<'static, Result<Asset>> = match content {
            Ok(content) => saver.save(Save { reference, content, create }),
            Err(error) => Box::pin(async move { Err(error) }),
        };
        self.running.push(saving.map(move |outcome| translate::saved(id, outcome)).boxed());
        Ok(())
    }

    /// The next answer for the child; never without a save.
    ///
    /// # Cancel safety
    /// May be dropped and asked again.
    pub(super) async fn next(&mut self) -> Saved {
        match self.running.next().await {
            Some(saved) => saved,
            None => std::future::pending().await,
        }
    }

    /// Lets everything go.
    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }
}

/// A failure is kept for the answer, which comes after the last piece.
fn gathered(mut bytes: BytesMut, data: &[u8]) -> Result<BytesMut> {
    let size_bytes = (bytes.len() as u64).saturating_add(data.len() as u64);
    if size_bytes > FILE_BYTES_MAX {
        return Err(WorkerError::output_too_large(size_bytes, FILE_BYTES_MAX));
    }
    bytes.extend_from_slice(data);
    Ok(bytes)
}
