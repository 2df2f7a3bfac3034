//! Names of models as people, manifests and the wire write them (model contract, section 1).
//!
//! The provider stands beside a ref, never inside it; only [`split_prefix`] reads texts that have it in front, at the edge.

mod civitai;
mod hub_ref;
mod index;
mod prefix;
mod repo_name;
mod repo_ref;

use std::fmt;

pub use civitai::CivitaiRef;
pub use hub_ref::{DEFAULT_TAG, HubRef, RefDigest};
pub use index::ProviderIndex;
pub use prefix::{process_key, split_prefix};
pub use repo_name::RepoName;
pub use repo_ref::RepoRef;

use crate::binding::{Binding, Provider};

/// Longest ref in bytes. Names of owners and repositories end at a hundred; this leaves room for a digest and a query.
pub const REF_BYTES_MAX: usize = 1024;

/// A model of one provider. Displays in its canonical form, which parses to the same ref.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ModelRef {
    /// `owner/repo[:tag][@algorithm:hex][#flavor]`
    Hub(HubRef),
    /// `owner/repo[@revision][#flavor]`
    HuggingFace(RepoRef),
    /// A version or a model, by number.
    Civitai(CivitaiRef),
    /// `owner/repo[@revision]`
    ModelScope(RepoRef),
}

/// Why a text is no ref.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RefError {
    /// Blank.
    #[error("ref is empty")]
    Empty,
    /// Longer than any name of a model.
    #[error("ref is longer than {REF_BYTES_MAX} bytes")]
    TooLong,
    /// No `owner/repo`.
    #[error("ref is not of the form owner/repo")]
    NoOwner,
    /// A character that owners and repositories do not have, or `.` or `..`.
    #[error("owner or repo has a character that names do not have")]
    Name,
    /// A blank, a slash or a control character in the tag, or too many.
    #[error("tag is not of the form of tags")]
    Tag,
    /// An `@` that no `sha256:` or `blake3:` follows, or no digest behind it.
    #[error("ref is pinned to something that is no digest")]
    Digest,
    /// Behind `#` stands nothing or nothing good.
    #[error("flavor is not of the form of flavors")]
    Flavor,
    /// A blank, a control character or `..` in it, or too long.
    #[error("revision is not of the form of revisions")]
    Revision,
    /// `?` where it means nothing.
    #[error("ref has a query outside of its flavor")]
    Query,
    /// Not a version number, neither alone nor in an address.
    #[error("ref names no civitai version")]
    Version,
}

impl ModelRef {
    /// Reads `text` as a ref of `provider`. Blanks around it do not matter.
    ///
    /// # Errors
    /// See [`RefError`].
    pub fn parse(provider: Provider, text: &str) -> Result<Self, RefError> {
        Ok(match provider {
            Provider::Hub => Self::Hub(HubRef::parse(text)?),
            Provider::HuggingFace => Self::HuggingFace(RepoRef::parse_hugging_face(text)?),
            Provider::Civitai => Self::Civitai(CivitaiRef::parse(text)?),
            Provider::ModelScope => Self::ModelScope(RepoRef::parse_modelscope(text)?),
        })
    }

    /// What `binding` means: all that it says about where the model is. Its wire ref says less: it leaves out the tag `prod`, the
    /// version of Civitai and the revision of ModelScope.
    ///
    /// # Errors
    /// See [`RefError`].
    pub fn of_binding(binding: &Binding) -> Result<Self, RefError> {
        let (reference, revision) = (binding.reference(), binding.revision());
        match binding.provider() {
            Provider::Hub => HubRef::of_binding(binding).map(Self::Hub),
            Provider::Civitai if !binding.version().is_empty() => Self::parse(Provider::Civitai, binding.version()),
            provider if revision.is_empty() => Self::parse(provider, reference),
            provider => Self::parse(provider, &format!("{reference}@{revision}")),
        }
    }

    /// Who keeps the model.
    #[must_use]
    pub fn provider(&self) -> Provider {
        match self {
            Self::Hub(_) => Provider::Hub,
            Self::HuggingFace(_) => Provider::HuggingFace,
            Self::Civitai(_) => Provider::Civitai,
            Self::ModelScope(_) => Provider::ModelScope,
        }
    }
}

impl fmt::Display for ModelRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Hub(reference) => reference.fmt(f),
            Self::HuggingFace(reference) | Self::ModelScope(reference) => reference.fmt(f),
            Self::Civitai(reference) => reference.fmt(f),
        }
    }
}

/// `text` without blanks around it, when that is something, and not too long.
fn trimmed(text: &str) -> Result<&str, RefError> {
    let text = text.trim();
    match text.len() {
        0 => Err(RefError::Empty),
        1..=REF_BYTES_MAX => Ok(text),
        _ => Err(RefError::TooLong),
    }
}

/// The two halves of `owner/repo`. Each is a name that is safe as a part of a path and of a URL.
fn owner_and_repo(text: &str) -> Result<(String, String), RefError> {
    let (owner, repo) = text.split_once('/').ok_or(RefError::NoOwner)?;
    Ok((name(owner)?, name(repo)?))
}

fn name(text: &str) -> Result<String, RefError> {
    let known = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    match text {
        "" => Err(RefError::NoOwner),
        "." | ".." => Err(RefError::Name),
        _ if text.bytes().all(known) => Ok(text.to_owned()),
        _ => Err(RefError::Name),
    }
}

#[cfg(test)]
mod tests;
