//! A repository of the hub, without saying which of its trees.

use std::{fmt, str::FromStr};

use super::{RefError, owner_and_repo, trimmed};

/// `owner/repo`, in the case it was written in. Both halves are safe as a part of a URL and of a path.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RepoName {
    owner: String,
    repo: String,
}

impl RepoName {
    /// Who owns it.
    #[must_use]
    pub fn owner(&self) -> &str {
        &self.owner
    }

    /// What it is called.
    #[must_use]
    pub fn repo(&self) -> &str {
        &self.repo
    }

    /// The form in which hubs look names up: they have no case (Hub contract, 1.8).
    #[must_use]
    pub fn to_lowercase(&self) -> Self {
        Self { owner: self.owner.to_ascii_lowercase(), repo: self.repo.to_ascii_lowercase() }
    }
}

impl FromStr for RepoName {
    type Err = RefError;

    fn from_str(text: &str) -> Result<Self, RefError> {
        let (owner, repo) = owner_and_repo(trimmed(text)?)?;
        Ok(Self { owner, repo })
    }
}

impl fmt::Display for RepoName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.owner, self.repo)
    }
}
