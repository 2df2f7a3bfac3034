//! Releases of projects, and the tags of endpoints that point at them (Hub contract, section 13).
//!
//! A release never changes once it is published, and its id is used once. A tag changes in one transaction, which writes what
//! happened into the log of its project. Entries of the log stay; each entry that moved a tag to a release knows the entry to
//! go back to, so that rolling back again goes further back.

use gen_worker_hub::{
    Blake3Hash,
    names::{ReleaseId, Slug, Tag},
};
use serde::{Deserialize, Serialize};

use super::{Answer, MetadataError};

/// How long a repeated publish with the key of an earlier one is answered with the release of that one (Hub contract, 13.1).
pub const PUBLISH_KEY_S: u64 = 24 * 60 * 60;

/// A project of a tenant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProjectName {
    /// The tenant, in lower case.
    pub tenant: String,
    /// The project.
    pub project: Slug,
}

/// The image of a release.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReleaseImage {
    /// Where it is.
    #[serde(rename = "ref")]
    pub reference: String,
    /// What it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
}

/// Who changes something, when and why: for the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Actor {
    /// Who.
    pub name: String,
    /// When, in seconds since 1970.
    pub now_s: u64,
    /// Why, if they say.
    pub reason: Option<String>,
}

/// What nobody looks for in a release, as it is stored.
#[derive(Deserialize, Serialize)]
pub(super) struct Details {
    image: Option<ReleaseImage>,
    source_digest: Option<String>,
    compatibility_version: Option<String>,
    notes: Option<String>,
}

/// A release to publish.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewRelease {
    /// Its id, which was never used.
    pub id: ReleaseId,
    /// Of which project.
    pub project: ProjectName,
    /// Its manifest, as it came.
    pub manifest: String,
    /// The endpoints of the manifest, each once.
    pub endpoints: Vec<Slug>,
    /// Its image.
    pub image: Option<ReleaseImage>,
    /// What it was built from.
    pub source_digest: Option<String>,
    /// Which callers and variables it fits.
    pub compatibility_version: Option<String>,
    /// For people.
    pub notes: Option<String>,
    /// The key of the call, under which a repeat finds this release.
    pub key: Option<String>,
}

/// A release.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReleaseRecord {
    /// What was published. The key is not kept with it.
    pub new: NewRelease,
    /// Its number in its project.
    pub seq: u64,
    /// When it was published, in seconds since 1970.
    pub created_s: u64,
    /// Who published it.
    pub author: String,
    /// Tags that point at it, with their endpoints.
    pub tags: Vec<(Slug, Tag)>,
}

/// A release in a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReleaseRow {
    /// Its id.
    pub id: ReleaseId,
    /// Its number in its project.
    pub seq: u64,
    /// Its endpoints.
    pub endpoints: Vec<Slug>,
    /// The hash of its manifest.
    pub manifest: Blake3Hash,
    /// When it was published, in seconds since 1970.
    pub created_s: u64,
}

/// Where a tag points.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TagRecord {
    /// Of which endpoint.
    pub endpoint: Slug,
    /// The tag.
    pub tag: Tag,
    /// The release.
    pub release: ReleaseId,
    /// How often it was changed.
    pub generation: u64,
    /// When it was changed last, in seconds since 1970.
    pub updated_s: u64,
}

/// A change of tags to make.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewPromotion {
    /// What becomes current.
    pub release: ReleaseId,
    /// For which endpoints; all of the release when none are named.
    pub endpoints: Option<Vec<Slug>>,
    /// Under which tag.
    pub tag: Tag,
    /// Where the tags have to point now for anything to happen.
    pub expected: Expectation,
}

/// Where a tag has to point for a change to happen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Expectation {
    /// Anywhere.
    Anything,
    /// Nowhere.
    Nothing,
    /// At this release.
    Release(ReleaseId),
}

/// A tag after a change, or after a call that changed nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MovedTag {
    /// The tag now.
    pub now: TagRecord,
    /// Where it pointed before.
    pub before: Option<ReleaseId>,
}

/// What was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ReleaseAction {
    /// A release was published.
    Publish,
    /// A release was taken away.
    Delete,
    /// A tag was pointed at a release.
    Promote,
    /// A tag was pointed at an earlier release.
    Rollback,
    /// A tag was taken away.
    Remove,
}

/// An entry of the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogEntry {
    /// Its number; later ones are larger.
    pub number: u64,
    /// What was done.
    pub action: ReleaseAction,
    /// Where the tag pointed.
    pub from: Option<ReleaseId>,
    /// Where it points since, or the release that was published or taken away.
    pub to: Option<ReleaseId>,
    /// How often the tag was changed by then.
    pub generation: u64,
    /// Who, when and why.
    pub actor: Actor,
}

impl Details {
    pub fn text_of(new: &NewRelease) -> Result<String, MetadataError> {
        let NewRelease { image, source_digest, compatibility_version, notes, .. } = new.clone();
        let details = Self { image, source_digest, compatibility_version, notes };
        serde_json::to_string(&details).map_err(|error| MetadataError::Unfit(error.to_string()))
    }

    pub fn read(text: &str) -> Result<Self, MetadataError> {
        let corrupt = |error| MetadataError::Corrupt { detail: format!("column details: {error}") };
        serde_json::from_str(text).map_err(corrupt)
    }

    pub fn compatibility_version(self) -> Option<String> {
        self.compatibility_version
    }

    /// The release that they belong to.
    pub fn release(self, id: ReleaseId, project: ProjectName, manifest: String, endpoints: Vec<Slug>) -> NewRelease {
        let Self { image, source_digest, compatibility_version, notes } = self;
        NewRelease { id, project, manifest, endpoints, image, source_digest, compatibility_version, notes, key: None }
    }
}

impl NewPromotion {
    /// The endpoints whose tags move, of those that the release has.
    pub(super) fn wanted<'a>(&'a self, has: &'a [Slug]) -> Result<&'a [Slug], ReleaseError> {
        let wanted = self.endpoints.as_deref().unwrap_or(has);
        match wanted.iter().find(|endpoint| !has.contains(endpoint)) {
            Some(endpoint) => Err(ReleaseError::NotInRelease { endpoint: endpoint.clone() }),
            None => Ok(wanted),
        }
    }
}

impl Expectation {
    /// Refuses a tag of `endpoint` that points elsewhere.
    pub(super) fn check(&self, endpoint: &Slug, points_at: Option<&ReleaseId>) -> Result<(), ReleaseError> {
        let is_met = match self {
            Self::Anything => true,
            Self::Nothing => points_at.is_none(),
            Self::Release(expected) => points_at == Some(expected),
        };
        if is_met {
            return Ok(());
        }
        Err(ReleaseError::Conflict { endpoint: endpoint.clone(), current: points_at.cloned() })
    }
}

/// The actions as they are stored.
const ACTIONS: [(ReleaseAction, &str); 5] = [
    (ReleaseAction::Publish, "publish"),
    (ReleaseAction::Delete, "delete"),
    (ReleaseAction::Promote, "promote"),
    (ReleaseAction::Rollback, "rollback"),
    (ReleaseAction::Remove, "remove"),
];

impl ReleaseAction {
    pub(super) fn word(self) -> &'static str {
        ACTIONS.iter().find(|(known, _)| *known == self).map_or("", |(_, word)| word)
    }

    pub(super) fn of_word(text: &str) -> Result<Self, MetadataError> {
        let found = ACTIONS.iter().find(|(_, word)| *word == text);
        found.map(|(action, _)| *action).ok_or_else(|| MetadataError::Corrupt { detail: "column action".to_owned() })
    }
}

/// An entry of the log to write.
pub(super) struct Entry<'a> {
    pub project: i64,
    pub action: ReleaseAction,
    /// The endpoint and its tag; none for a release.
    pub tag: Option<(&'a Slug, &'a Tag)>,
    pub from: Option<&'a ReleaseId>,
    pub to: Option<&'a ReleaseId>,
    /// The entry that a rollback goes back to.
    pub previous: Option<i64>,
    pub generation: u64,
}

impl Entry<'_> {
    /// An entry about a release.
    pub fn of_release(project: i64, action: ReleaseAction) -> Self {
        Self { project, action, tag: None, from: None, to: None, previous: None, generation: 0 }
    }
}

/// Why nothing was changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReleaseError {
    /// The project has no such release.
    #[error("the project has no such release")]
    UnknownRelease,
    /// The release does not have the endpoint.
    #[error("the release has no endpoint {endpoint}")]
    NotInRelease {
        /// Which.
        endpoint: Slug,
    },
    /// The tag points elsewhere than expected.
    #[error("the tag of {endpoint} points elsewhere")]
    Conflict {
        /// Of which endpoint.
        endpoint: Slug,
        /// Where it points.
        current: Option<ReleaseId>,
    },
    /// There is nothing to go back to.
    #[error("the tag has no earlier release to go back to")]
    NoPrevious,
    /// The endpoint has no such tag.
    #[error("the endpoint has no such tag")]
    UnknownTag,
    /// Tags point at the release.
    #[error("tags point at the release")]
    InUse,
}

/// The part of the seam for releases.
pub trait Releases {
    /// Publishes a release, or gives the one that was published with the same key less than [`PUBLISH_KEY_S`] ago and is still
    /// there. True when it is new.
    fn publish(&self, new: NewRelease, actor: Actor) -> Answer<'_, (ReleaseRecord, bool)>;

    /// A release.
    fn release(&self, project: ProjectName, id: ReleaseId) -> Answer<'_, Option<ReleaseRecord>>;

    /// Releases with smaller numbers than `before`, the latest first, at most `limit`.
    fn releases(&self, project: ProjectName, before: Option<u64>, limit: usize) -> Answer<'_, Vec<ReleaseRow>>;

    /// Takes a release away.
    ///
    /// # Errors
    /// [`ReleaseError::UnknownRelease`]; [`ReleaseError::InUse`].
    fn drop_release(&self, project: ProjectName, id: ReleaseId, actor: Actor) -> Answer<'_, ()>;

    /// The endpoints of a project, in their order: of all its releases, and all that have tags. At most `limit`, after `after`.
    fn endpoints(&self, project: ProjectName, after: Option<Slug>, limit: usize) -> Answer<'_, Vec<Slug>>;

    /// The tags of these endpoints, in their order.
    fn tags(&self, project: ProjectName, endpoints: Vec<Slug>) -> Answer<'_, Vec<TagRecord>>;

    /// Points tags at a release, all or none. A tag that points there already stays as it is.
    ///
    /// # Errors
    /// [`ReleaseError::UnknownRelease`]; [`ReleaseError::NotInRelease`]; [`ReleaseError::Conflict`].
    fn promote(&self, project: ProjectName, promotion: NewPromotion, actor: Actor) -> Answer<'_, Vec<MovedTag>>;

    /// Points a tag at the release that it pointed at before the current one, or at `to`, which it pointed at earlier. Releases
    /// that were taken away meanwhile are passed over.
    ///
    /// # Errors
    /// [`ReleaseError::UnknownTag`]; [`ReleaseError::NoPrevious`].
    fn roll_back(
        &self,
        project: ProjectName,
        endpoint: Slug,
        tag: Tag,
        to: Option<ReleaseId>,
        actor: Actor,
    ) -> Answer<'_, MovedTag>;

    /// Takes a tag away. A later one of this name has nothing to go back to.
    ///
    /// # Errors
    /// [`ReleaseError::UnknownTag`].
    fn drop_tag(&self, project: ProjectName, endpoint: Slug, tag: Tag, actor: Actor) -> Answer<'_, ()>;

    /// What happened to a tag before the entry with the number `before`, the latest first, at most `limit`.
    fn history(
        &self,
        project: ProjectName,
        endpoint: Slug,
        tag: Tag,
        before: Option<u64>,
        limit: usize,
    ) -> Answer<'_, Vec<LogEntry>>;
}
