//! Who asks the store: what they may read already, and how much they may write.

use std::sync::Arc;

use gen_worker_hub::{
    model_ref::RepoName,
    token::{Area, CapabilityClaims, Right},
};

use super::Holder;

/// What somebody may read.
#[derive(Clone, Debug)]
pub enum Reader {
    /// What is public.
    Anyone,
    /// That, and what the token of a job says.
    Job(Arc<CapabilityClaims>),
    /// Everything.
    Operator,
}

/// Who opens an upload or a commit.
#[derive(Clone, Debug)]
pub struct Author {
    /// Contents that they may read need not come again. Others must come: to name a hash is not to have the content.
    pub reader: Reader,
    /// How much they may write; none for as much as they like.
    pub budget: Option<Budget>,
}

/// The bytes that one attempt of a job may write, over all its tokens. What is announced counts at once, and no more when it is
/// given up or expires; content that is there already does not count, and one that is announced more than once counts once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Budget {
    /// The attempt.
    pub job: String,
    /// Most bytes.
    pub bytes_max: u64,
    /// When the count may be forgotten: no token of the attempt lives any more.
    pub expires_s: u64,
}

impl Reader {
    /// Whether they may read what `holder` has.
    #[must_use]
    pub fn may_read(&self, holder: &Holder) -> bool {
        match holder {
            Holder::Repo { repo, private } => self.may_read_repo(repo, *private),
            Holder::Media { owner } => self.may(Area::Media, Right::Read, owner, "*"),
            Holder::Dataset { owner, name, private } => !private || self.may(Area::Dataset, Right::Read, owner, name),
        }
    }

    /// Whether they may read a repository.
    #[must_use]
    pub fn may_read_repo(&self, repo: &RepoName, private: bool) -> bool {
        !private || self.may(Area::Repo, Right::Read, repo.owner(), repo.repo())
    }

    /// Whether they have this right.
    #[must_use]
    pub fn may(&self, area: Area, right: Right, owner: &str, name: &str) -> bool {
        match self {
            Self::Anyone => false,
            Self::Job(claims) => claims.allows(area, right, owner, name),
            Self::Operator => true,
        }
    }
}

impl Author {
    /// Somebody without a limit.
    #[must_use]
    pub fn unlimited(reader: Reader) -> Self {
        Self { reader, budget: None }
    }
}
