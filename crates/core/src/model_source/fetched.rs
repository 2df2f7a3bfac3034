//! A model on disk, and what keeps it there.

use std::{
    any::Any,
    fmt,
    path::{Path, PathBuf},
    sync::Arc,
};

/// A model on disk, which stays there and complete for as long as this or a clone of it lives.
#[derive(Clone)]
pub struct FetchedModel {
    dir: PathBuf,
    _held: Option<Arc<dyn Any + Send + Sync>>,
}

impl FetchedModel {
    /// A model in a directory that nobody takes away.
    #[must_use]
    pub fn at(dir: impl Into<PathBuf>) -> Self {
        Self { dir: dir.into(), _held: None }
    }

    /// A model in a directory that is there at least until `held` drops.
    #[must_use]
    pub fn held(dir: impl Into<PathBuf>, held: impl Any + Send + Sync) -> Self {
        Self { dir: dir.into(), _held: Some(Arc::new(held)) }
    }

    /// Its directory: complete, not to be written to.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }
}

impl PartialEq for FetchedModel {
    fn eq(&self, other: &Self) -> bool {
        self.dir == other.dir
    }
}

impl Eq for FetchedModel {}

impl fmt::Debug for FetchedModel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("FetchedModel").field(&self.dir).finish()
    }
}
