//! The buckets of the pool's own storage. Pure.
//!
//! A hub may answer with signed addresses of a bucket that only the pool's own network reaches. Payloads come from strangers, so
//! that such an address counts only below a place that whoever runs the pool has named: there the signature decides, as for
//! everybody, and beside it nothing can be asked for.

use std::str::FromStr;

use reqwest::Url;

/// A place in the pool's own storage, such as `https://minio.example:9000/models/`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StorageBase(Url);

/// A text that names no place in a storage.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("it is no address of a storage")]
pub struct NoStorage;

/// Spellings that a server may read as another path than the one that is compared.
const ODD_SPELLINGS: [&str; 4] = ["%2e", "%2f", "%5c", "//"];

impl StorageBase {
    /// Whether `url` is below this place.
    pub(super) fn covers(&self, url: &Url) -> bool {
        let path = url.path();
        let is_plain = {
            let folded = path.to_ascii_lowercase();
            !ODD_SPELLINGS.iter().any(|odd| folded.contains(odd))
        };
        let is_below = path.len() > self.0.path().len() && path.starts_with(self.0.path());
        url.origin() == self.0.origin() && is_below && is_plain && url.username().is_empty() && url.password().is_none()
    }
}

impl FromStr for StorageBase {
    type Err = NoStorage;

    fn from_str(text: &str) -> Result<Self, NoStorage> {
        let mut url: Url = text.trim().parse().map_err(|_| NoStorage)?;
        let is_bare = url.query().is_none() && url.fragment().is_none() && url.username().is_empty();
        if !matches!(url.scheme(), "http" | "https") || !url.has_host() || !is_bare || url.password().is_some() {
            return Err(NoStorage);
        }
        // `/models` is the bucket, and not the start of the name of another one.
        if !url.path().ends_with('/') {
            url.set_path(&format!("{}/", url.path()));
        }
        Ok(Self(url))
    }
}

#[cfg(test)]
mod tests;
