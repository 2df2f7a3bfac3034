//! Files of media.

use futures::FutureExt as _;

use super::{
    PostgresMetadata,
    row::{column, counted, hash, values},
    transaction::Transaction,
};
use crate::metadata::{Answer, MediaFile, MediaFiles, MetadataError};

impl MediaFiles for PostgresMetadata {
    fn media_file(&self, owner: String, reference: String) -> Answer<'_, Option<MediaFile>> {
        self.read("read a file of media", (owner, reference), |on, (owner, reference)| {
            find(on, owner, reference).boxed()
        })
    }
}

async fn find(on: &Transaction, owner: &str, reference: &str) -> Result<Option<MediaFile>, MetadataError> {
    let sql = "SELECT blake3, size, sha256, mime FROM hub.media JOIN hub.blobs USING (blake3)
         WHERE owner = $1 AND ref = $2";
    let Some(row) = on.row(sql, values![owner, reference]).await? else { return Ok(None) };
    let (blake3, size_bytes) = (hash(&row, 0)?, counted(&row, 1)?);
    Ok(Some(MediaFile { blake3, size_bytes, sha256: column(&row, 2)?, mime_type: column(&row, 3)? }))
}
