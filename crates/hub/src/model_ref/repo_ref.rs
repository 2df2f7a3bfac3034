//! Refs of Hugging Face and ModelScope: `owner/repo[@revision]`, at Hugging Face also `#flavor`.

use std::fmt;

use super::{RefError, owner_and_repo, trimmed};

/// Longest revision in bytes: the limit of git for one part of a reference.
const REVISION_BYTES_MAX: usize = 255;

/// A repository, and which commit or branch of it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RepoRef {
    owner: String,
    repo: String,
    revision: Option<String>,
    flavor: Option<String>,
}

impl RepoRef {
    /// Reads `owner/repo[@revision][#flavor]`. Nothing behind a mark means none.
    ///
    /// # Errors
    /// See [`RefError`].
    pub fn parse_hugging_face(text: &str) -> Result<Self, RefError> {
        let text = trimmed(text)?;
        let (rest, flavor) = text.split_once('#').unwrap_or((text, ""));
        if flavor.contains(char::is_control) {
            return Err(RefError::Flavor);
        }
        let flavor = flavor.trim();
        let own = (!flavor.is_empty()).then(|| flavor.to_owned());
        Ok(Self { flavor: own, ..Self::parse_modelscope(rest)? })
    }

    /// Reads `owner/repo[@revision]`. `#` has no meaning there, and no place in a name.
    ///
    /// # Errors
    /// See [`RefError`].
    pub fn parse_modelscope(text: &str) -> Result<Self, RefError> {
        let text = trimmed(text)?;
        let (rest, revision) = text.split_once('@').unwrap_or((text, ""));
        let revision = revision.trim();
        let strange = |c: char| c.is_whitespace() || c.is_control() || c == '\\' || c == '?';
        if revision.len() > REVISION_BYTES_MAX || revision.contains("..") || revision.contains(strange) {
            return Err(RefError::Revision);
        }
        let (owner, repo) = owner_and_repo(rest.trim())?;
        Ok(Self { owner, repo, revision: (!revision.is_empty()).then(|| revision.to_owned()), flavor: None })
    }

    /// `owner/repo`: what the provider is asked for.
    #[must_use]
    pub fn repo_id(&self) -> String {
        format!("{}/{}", self.owner, self.repo)
    }

    /// Who owns the repository.
    #[must_use]
    pub fn owner(&self) -> &str {
        &self.owner
    }

    /// The repository.
    #[must_use]
    pub fn repo(&self) -> &str {
        &self.repo
    }

    /// Commit or branch.
    #[must_use]
    pub fn revision(&self) -> Option<&str> {
        self.revision.as_deref()
    }

    /// Which of the files are wanted, in the words of the author. Two flavors of one repository are two models on disk.
    #[must_use]
    pub fn flavor(&self) -> Option<&str> {
        self.flavor.as_deref()
    }
}

impl fmt::Display for RepoRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.owner, self.repo)?;
        self.revision.iter().try_for_each(|revision| write!(f, "@{revision}"))?;
        self.flavor.iter().try_for_each(|flavor| write!(f, "#{flavor}"))
    }
}
