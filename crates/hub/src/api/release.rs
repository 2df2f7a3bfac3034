//! Tags of endpoints: which release callers get (Hub contract, section 13).

use serde::{Deserialize, Serialize};

use crate::names::{ReleaseId, Slug, Tag};

/// Where a tag points.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EndpointTag {
    /// The tag.
    pub tag: Tag,
    /// The release that callers of the tag get.
    pub release_id: ReleaseId,
    /// How often it was moved.
    pub generation: u64,
    /// When it was moved last, in the words of the server.
    pub updated_at: String,
}

/// Body of a change of one tag.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TagChange {
    /// Where it shall point.
    pub release_id: ReleaseId,
    /// Where it has to point now for the change to happen. Empty text: nowhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expected_release_id: Option<String>,
    /// For people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// Body of a promotion: all or nothing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Promotion {
    /// What becomes current.
    pub release_id: ReleaseId,
    /// Under which tag; `prod` when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tag: Option<Tag>,
    /// For which endpoints; all of the release when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub endpoints: Option<Vec<Slug>>,
    /// For people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// Body of a rollback.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rollback {
    /// Back to which release; the one before when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to_release_id: Option<ReleaseId>,
    /// For people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// A tag after a change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TagMoved {
    /// Of which endpoint, where several were changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<Slug>,
    /// The tag.
    pub tag: Tag,
    /// Where it points.
    pub release_id: ReleaseId,
    /// Where it pointed.
    #[serde(default)]
    pub previous_release_id: Option<ReleaseId>,
    /// How often it was moved.
    pub generation: u64,
}
