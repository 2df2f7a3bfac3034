//! Datasets: a schema that may name files (Hub contract, section 8).

use gen_worker_hub::{ServerId, api::DatasetSchema, snapshot::SnapshotFile};
use serde_json::Value;

use super::{Answer, MetadataError, Reader};

/// Bytes of all schemas of one owner. A list has them all, and clients take replies of 64 MiB.
const SCHEMA_BYTES_MAX: i64 = 48 * 1024 * 1024;

/// Datasets of one owner.
const DATASETS_MAX: i64 = 10_000;

/// A dataset.
#[derive(Clone, Debug, PartialEq)]
pub struct DatasetRecord {
    /// Its id.
    pub id: ServerId,
    /// Who owns it.
    pub owner: String,
    /// Its name, as it was written. No two of an owner differ in case only.
    pub name: String,
    /// Whether only those with a token may see it.
    pub private: bool,
    /// What is in it.
    pub schema: DatasetSchema,
    /// Artifacts by row.
    pub row_artifacts: Option<Value>,
}

/// What becomes of a dataset. Absent fields stay as they are.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct DatasetChange {
    /// What is in it now, and its files.
    pub schema: Option<(DatasetSchema, Vec<SnapshotFile>)>,
    /// Artifacts by row.
    pub row_artifacts: Option<Value>,
    /// Whether only those with a token may see it.
    pub private: Option<bool>,
}

/// The part of the seam for datasets.
pub trait Datasets {
    /// Makes a dataset. It holds its files: they stay, and can be read by who may read it.
    ///
    /// # Errors
    /// [`super::MetadataError::RefExists`] when its owner has one of that name; [`super::MetadataError::Missing`] with the paths
    /// of files that are not there, or that `reader` may not read; [`super::MetadataError::Unfit`] when its owner has too much.
    fn create_dataset(
        &self,
        new: DatasetRecord,
        files: Vec<SnapshotFile>,
        reader: Reader,
        now_s: u64,
    ) -> Answer<'_, ()>;

    /// Changes a dataset. Files that it has stay readable. None when it is not there.
    ///
    /// # Errors
    /// [`super::MetadataError::Missing`]; [`super::MetadataError::Unfit`]. Neither changes anything.
    fn change_dataset(
        &self,
        id: ServerId,
        change: DatasetChange,
        reader: Reader,
        now_s: u64,
    ) -> Answer<'_, Option<DatasetRecord>>;

    /// A dataset.
    fn dataset(&self, id: ServerId) -> Answer<'_, Option<DatasetRecord>>;

    /// The datasets of an owner, by name.
    fn datasets(&self, owner: String) -> Answer<'_, Vec<DatasetRecord>>;
}

/// Refuses more datasets, or more bytes in them, than an owner may have.
pub(super) fn check_owned(datasets: i64, bytes: i64) -> Result<(), MetadataError> {
    if datasets > DATASETS_MAX || bytes > SCHEMA_BYTES_MAX {
        let why =
            format!("an owner has at most {DATASETS_MAX} datasets, with {SCHEMA_BYTES_MAX} bytes of schemas in all");
        return Err(MetadataError::Unfit(why));
    }
    Ok(())
}
