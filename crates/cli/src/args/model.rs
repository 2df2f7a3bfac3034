//! `REF=DIR`: a model that already lies in a local directory.

use std::{path::PathBuf, str::FromStr};

/// A model ref and the directory that holds it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ModelDir {
    /// The ref as endpoints declare it.
    pub(crate) model: String,
    /// Where it lies; not yet looked at.
    pub(crate) dir: PathBuf,
}

impl FromStr for ModelDir {
    type Err = &'static str;

    /// Splits at the first `=`: refs have none, paths may.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.split_once('=') {
            Some((model, dir)) if !model.trim().is_empty() && !dir.is_empty() => {
                Ok(Self { model: model.trim().to_owned(), dir: PathBuf::from(dir) })
            }
            _ => Err("expected REF=DIR"),
        }
    }
}
