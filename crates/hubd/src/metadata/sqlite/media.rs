//! Files of media.

use rusqlite::{Connection, OptionalExtension as _};

use super::{
    SqliteMetadata,
    row::{count, parse},
};
use crate::metadata::{Answer, MediaFile, MediaFiles, MetadataError};

impl MediaFiles for SqliteMetadata {
    fn media_file(&self, owner: String, reference: String) -> Answer<'_, Option<MediaFile>> {
        self.read("read a file of media", move |on| find(on, &owner, &reference))
    }
}

fn find(on: &Connection, owner: &str, reference: &str) -> Result<Option<MediaFile>, MetadataError> {
    let mut find = on.prepare_cached(
        "SELECT blake3, size, sha256, mime FROM media JOIN blobs USING (blake3) WHERE owner = ?1 AND ref = ?2",
    )?;
    let found = find.query_row([owner, reference], |row| {
        Ok((row.get::<_, String>(0)?, row.get::<_, i64>(1)?, row.get(2)?, row.get(3)?))
    });
    let Some((blake3, size, sha256, mime_type)) = found.optional()? else { return Ok(None) };
    let (blake3, size_bytes) = (parse("blake3", &blake3)?, count("size", size)?);
    Ok(Some(MediaFile { blake3, size_bytes, sha256, mime_type }))
}
