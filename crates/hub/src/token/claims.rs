//! What a token says.

use std::{fmt, str::FromStr, time::Duration};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

use super::limits::ByteLimits;

/// Most grants of one token: a job has one destination and a few sources.
pub(super) const GRANTS_MAX: usize = 256;

/// What a token says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CapabilityClaims {
    /// Which worker holds it.
    pub sub: String,
    /// For whom the job runs.
    pub tenant: String,
    /// The request.
    pub request_id: String,
    /// Its attempt.
    pub attempt: u32,
    /// Kind of work.
    pub kind: Workload,
    /// What it may do.
    pub grants: Vec<Grant>,
    /// How much it may write.
    #[serde(flatten)]
    pub limits: ByteLimits,
    /// Since when, in seconds since 1970.
    pub iat: u64,
    /// Until when.
    pub exp: u64,
}

/// Kind of work. It decides how long a token lasts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Workload {
    /// One answer.
    Inference,
    /// One checkpoint made of another.
    Conversion,
    /// A run.
    Training,
}

/// One thing that a token allows, `area:right:owner/name`. `*` for a name means all names of the owner.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    area: Area,
    right: Right,
    owner: String,
    name: String,
}

/// What a right is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Area {
    /// Files of a tenant.
    Media,
    /// Repositories.
    Repo,
    /// Datasets.
    Dataset,
}

/// What may be done. To write includes to read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Right {
    /// Look.
    Read,
    /// Change.
    Write,
}

/// A text that is no grant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("grant is not of the form area:right:owner/name")]
pub struct GrantError;

impl CapabilityClaims {
    /// Whether `right` over `name` of `owner` is among the grants. Owners and names have no case (Hub contract, 1.8).
    #[must_use]
    pub fn allows(&self, area: Area, right: Right, owner: &str, name: &str) -> bool {
        self.grants.iter().any(|grant| grant.covers(area, right, owner, name))
    }
}

impl Workload {
    /// How long a token for such work lasts.
    #[must_use]
    pub fn ttl(self) -> Duration {
        const HOUR_S: u64 = 60 * 60;
        Duration::from_secs(match self {
            Self::Inference => HOUR_S,
            Self::Conversion => 24 * HOUR_S,
            Self::Training => 7 * 24 * HOUR_S,
        })
    }
}

impl Grant {
    /// `right` over `name` of `owner`, or over all of the owner's for `*`.
    ///
    /// # Errors
    /// When one of them is no name.
    pub fn new(area: Area, right: Right, owner: &str, name: &str) -> Result<Self, GrantError> {
        let word = |text: &str| {
            let known = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
            (1..=128).contains(&text.len()) && text.bytes().all(known)
        };
        if !word(owner) || !(name == "*" || word(name)) {
            return Err(GrantError);
        }
        Ok(Self { area, right, owner: owner.to_ascii_lowercase(), name: name.to_ascii_lowercase() })
    }

    fn covers(&self, area: Area, right: Right, owner: &str, name: &str) -> bool {
        self.area == area
            && self.right >= right
            && self.owner.eq_ignore_ascii_case(owner)
            && (self.name == "*" || self.name.eq_ignore_ascii_case(name))
    }
}

impl FromStr for Grant {
    type Err = GrantError;

    fn from_str(text: &str) -> Result<Self, GrantError> {
        let mut parts = text.splitn(3, ':');
        let area = match parts.next() {
            Some("media") => Area::Media,
            Some("repo") => Area::Repo,
            Some("dataset") => Area::Dataset,
            _ => return Err(GrantError),
        };
        let right = match parts.next() {
            Some("read") => Right::Read,
            Some("write") => Right::Write,
            _ => return Err(GrantError),
        };
        let (owner, name) = parts.next().and_then(|scope| scope.split_once('/')).ok_or(GrantError)?;
        Self::new(area, right, owner, name)
    }
}

impl fmt::Display for Grant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let area = match self.area {
            Area::Media => "media",
            Area::Repo => "repo",
            Area::Dataset => "dataset",
        };
        let right = match self.right {
            Right::Read => "read",
            Right::Write => "write",
        };
        write!(f, "{area}:{right}:{}/{}", self.owner, self.name)
    }
}

impl Serialize for Grant {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Grant {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}
