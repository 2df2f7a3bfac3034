//! Which kinds of files are accepted. Pure.

/// Kinds of files, such as `image/png` or `image/*`. An empty list accepts all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MimeList(Vec<String>);

impl MimeList {
    /// A list of `kinds`; case does not matter.
    #[must_use]
    pub fn new(kinds: impl IntoIterator<Item = impl AsRef<str>>) -> Self {
        Self(kinds.into_iter().map(|kind| kind.as_ref().trim().to_ascii_lowercase()).collect())
    }

    /// Whether a file of the kind `mime_type` is accepted (Hub contract, 14.2).
    #[must_use]
    pub fn accepts(&self, mime_type: &str) -> bool {
        let mime_type = mime_type.to_ascii_lowercase();
        let family = mime_type.split_once('/').map_or("", |(family, _)| family);
        let accepted = |kind: &String| kind.strip_suffix("/*").map_or(*kind == mime_type, |of| of == family);
        self.0.is_empty() || self.0.iter().any(accepted)
    }
}

#[cfg(test)]
mod tests;
