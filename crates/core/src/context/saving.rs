//! What a handler saves.

use std::path::Path;

use bytes::Bytes;
use gen_worker_hub::Digest;

use super::{OutputMode, RequestContext};
use crate::{
    saves::{Asset, HEAD_BYTES, Media, Save, SaveContent, file_ref, mime_type},
    worker_error::{Result, WorkerError},
};

/// Largest file that travels inside the output (Hub contract, 9.10).
const INLINE_FILE_BYTES_MAX: usize = 4 * 1024 * 1024;

impl RequestContext {
    /// Saves `bytes` as the file `reference` of the owner, and gives what the output says of it. A file of that name is
    /// replaced. Where the client asked for files inside the output, bytes up to 4 MiB stay in the asset.
    ///
    /// # Errors
    /// [`WorkerError::canceled`] as soon as the request is cancelled, a ref that is none, no bytes, and what the store of
    /// files says; its errors tell whether another attempt may succeed.
    ///
    /// # Cancel safety
    /// May be dropped: nothing half is then to be found under the ref.
    pub async fn save_bytes(&self, reference: &str, bytes: impl Into<Bytes>) -> Result<Asset> {
        let bytes = bytes.into();
        match self.output_mode() {
            OutputMode::Inline if bytes.len() <= INLINE_FILE_BYTES_MAX => inline(reference, bytes),
            _ => self.save(replacing(reference, SaveContent::Bytes(bytes))).await,
        }
    }

    /// The same for a file of this machine. It is read in pieces, so it may be larger than the memory.
    ///
    /// # Errors
    /// As [`RequestContext::save_bytes`], and when there is no such file or it changes meanwhile.
    ///
    /// # Cancel safety
    /// As [`RequestContext::save_bytes`].
    pub async fn save_file(&self, reference: &str, path: impl AsRef<Path>) -> Result<Asset> {
        self.save(replacing(reference, SaveContent::File(path.as_ref().to_owned()))).await
    }

    /// Saves media that are encoded already. Without a ref they get the usual one, with a number when it is taken; a ref
    /// without an extension gets `extension`.
    ///
    /// # Errors
    /// As [`RequestContext::save_bytes`].
    ///
    /// # Cancel safety
    /// As [`RequestContext::save_bytes`].
    pub async fn save_media(
        &self,
        media: Media,
        extension: &str,
        reference: Option<&str>,
        bytes: impl Into<Bytes>,
    ) -> Result<Asset> {
        let named = |reference: &str| {
            let file_name = reference.rsplit('/').next().unwrap_or(reference);
            if file_name.contains('.') { reference.to_owned() } else { format!("{reference}.{extension}") }
        };
        let next = || self.0.media_names.next(self.request_id(), media, extension);
        let reference = reference.map_or_else(next, |reference| named(reference.trim()));
        self.save_bytes(&reference, bytes).await
    }

    /// [`RequestContext::save_bytes`] for a handler that blocks a thread.
    ///
    /// # Errors
    /// As [`RequestContext::save_bytes`], and when it is called outside a handler.
    pub fn save_bytes_blocking(&self, reference: &str, bytes: impl Into<Bytes>) -> Result<Asset> {
        blocking(self.save_bytes(reference, bytes))
    }

    /// [`RequestContext::save_file`] for a handler that blocks a thread.
    ///
    /// # Errors
    /// As [`RequestContext::save_file`], and when it is called outside a handler.
    pub fn save_file_blocking(&self, reference: &str, path: impl AsRef<Path>) -> Result<Asset> {
        blocking(self.save_file(reference, path))
    }

    pub(super) async fn save(&self, save: Save) -> Result<Asset> {
        self.check_cancelled()?;
        let saved = self.0.parts.saver.save(save);
        tokio::select! {
            biased;
            () = self.cancelled() => Err(WorkerError::canceled()),
            asset = saved => asset,
        }
    }
}

fn replacing(reference: &str, content: SaveContent) -> Save {
    Save { reference: reference.to_owned(), content, create: false }
}

/// The asset that carries its own bytes.
fn inline(reference: &str, bytes: Bytes) -> Result<Asset> {
    let reference = file_ref(reference)?.as_str().to_owned();
    let head = bytes.get(..HEAD_BYTES).unwrap_or(&bytes);
    Ok(Asset {
        mime_type: Some(mime_type(head, &reference).to_owned()),
        size_bytes: u64::try_from(bytes.len()).ok(),
        sha256: Some(Digest::sha256(&bytes).hex()),
        reference,
        inline_bytes: Some(bytes),
        ..Asset::default()
    })
}

pub(super) fn blocking<T>(work: impl Future<Output = Result<T>>) -> Result<T> {
    match tokio::runtime::Handle::try_current() {
        Ok(runtime) => runtime.block_on(work),
        Err(_) => Err(WorkerError::resource("files can be saved inside a handler only")),
    }
}
