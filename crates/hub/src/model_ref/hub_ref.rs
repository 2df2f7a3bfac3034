//! Refs of the pool's own hub: `owner/repo[:tag][@sha256:<hex>|@blake3:<hex>][#flavor]`.

use std::fmt;

use super::{RefError, name, trimmed};
use crate::{
    binding::{Binding, Provider},
    digest::{DIGEST_HEX, Digest, DigestAlgorithm},
    names::Flavor,
};

/// Tag of a ref that names none. Bindings have another default, `prod`, which [`HubRef::of_binding`] keeps.
pub const DEFAULT_TAG: &str = "latest";

/// Longest tag in bytes: twice what a hub accepts, so that the refusal comes from the hub.
const TAG_BYTES_MAX: usize = 128;

/// A repository of the hub, and which of its trees.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct HubRef {
    owner: String,
    repo: String,
    tag: String,
    digest: Option<RefDigest>,
    flavor: Option<Flavor>,
}

/// The digest of a tree in a ref, possibly its start only.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RefDigest {
    algorithm: DigestAlgorithm,
    hex: String,
}

/// What stands in a text, before defaults.
struct Parts {
    owner: String,
    repo: String,
    tag: Option<String>,
    digest: Option<RefDigest>,
    flavor: Option<Flavor>,
}

impl HubRef {
    /// Reads a ref whose digest, if it has one, is whole.
    ///
    /// # Errors
    /// See [`RefError`].
    pub fn parse(text: &str) -> Result<Self, RefError> {
        let reference = Self::parse_for_lookup(text)?;
        match &reference.digest {
            Some(digest) if digest.whole().is_none() => Err(RefError::Digest),
            _ => Ok(reference),
        }
    }

    /// Reads a ref whose digest may be the start of one. That is good enough to find a tree on local disk, and too little
    /// to ask a hub.
    ///
    /// # Errors
    /// See [`RefError`].
    pub fn parse_for_lookup(text: &str) -> Result<Self, RefError> {
        let Parts { owner, repo, tag, digest, flavor } = Parts::parse(text)?;
        Ok(Self { owner, repo, tag: tag.unwrap_or_else(|| DEFAULT_TAG.to_owned()), digest, flavor })
    }

    /// What `binding` means: its wire ref, with the tag of the binding where the wire ref leaves it out. To parse the wire
    /// ref alone would ask for `latest` instead of `prod`.
    ///
    /// # Errors
    /// See [`RefError`]; [`RefError::NoOwner`] also for a binding of another provider.
    pub fn of_binding(binding: &Binding) -> Result<Self, RefError> {
        if binding.provider() != Provider::Hub {
            return Err(RefError::NoOwner);
        }
        let Parts { owner, repo, tag, digest, flavor } = Parts::parse(&binding.wire_ref())?;
        Ok(Self { owner, repo, tag: tag.unwrap_or_else(|| binding.tag().to_owned()), digest, flavor })
    }

    /// Who owns the repository, as written.
    #[must_use]
    pub fn owner(&self) -> &str {
        &self.owner
    }

    /// The repository, as written.
    #[must_use]
    pub fn repo(&self) -> &str {
        &self.repo
    }

    /// The tag. Means nothing beside a digest.
    #[must_use]
    pub fn tag(&self) -> &str {
        &self.tag
    }

    /// The tree that the ref is pinned to.
    #[must_use]
    pub fn digest(&self) -> Option<&RefDigest> {
        self.digest.as_ref()
    }

    /// The flavor.
    #[must_use]
    pub fn flavor(&self) -> Option<&Flavor> {
        self.flavor.as_ref()
    }
}

impl RefDigest {
    /// How it was computed.
    #[must_use]
    pub fn algorithm(&self) -> DigestAlgorithm {
        self.algorithm
    }

    /// Lower-case digits, 64 or fewer.
    #[must_use]
    pub fn hex(&self) -> &str {
        &self.hex
    }

    /// The digest, when the ref has all of it.
    #[must_use]
    pub fn whole(&self) -> Option<Digest> {
        self.to_string().parse().ok()
    }
}

impl Parts {
    fn parse(text: &str) -> Result<Self, RefError> {
        let (rest, flavor) = match trimmed(text)?.split_once('#') {
            Some((rest, flavor)) => (rest, Some(parse_flavor(flavor)?)),
            None => (trimmed(text)?, None),
        };
        if rest.contains('?') {
            return Err(RefError::Query);
        }
        let (rest, digest) = split_digest(rest)?;
        let (rest, tag) = match rest.rsplit_once(':') {
            Some((rest, tag)) => (rest, parse_tag(tag.trim())?),
            None => (rest, None),
        };
        let (owner, repo) = rest.split_once('/').ok_or(RefError::NoOwner)?;
        let (owner, repo) = (name(owner.trim())?, name(repo.trim())?);
        Ok(Self { owner, repo, tag, digest, flavor })
    }
}

fn parse_flavor(text: &str) -> Result<Flavor, RefError> {
    let text = text.split_once('?').map_or(text, |(flavor, _query)| flavor);
    text.trim().to_ascii_lowercase().parse().map_err(|_| RefError::Flavor)
}

fn parse_tag(text: &str) -> Result<Option<String>, RefError> {
    let strange = |c: char| c == '/' || c.is_whitespace() || c.is_control();
    if text.len() > TAG_BYTES_MAX || text.contains(strange) {
        return Err(RefError::Tag);
    }
    Ok((!text.is_empty()).then(|| text.to_owned()))
}

/// What is in front of the digest, and the digest.
fn split_digest(text: &str) -> Result<(&str, Option<RefDigest>), RefError> {
    // Of the same length, so that places in one are places in the other.
    let lower = text.to_ascii_lowercase();
    for algorithm in [DigestAlgorithm::Sha256, DigestAlgorithm::Blake3] {
        let mark = format!("@{}:", algorithm.as_str());
        let Some((before, hex)) = lower.split_once(&mark) else { continue };
        let hex = hex.trim();
        let digits = hex.bytes().all(|byte| byte.is_ascii_hexdigit());
        if !digits || hex.is_empty() || hex.len() > DIGEST_HEX {
            return Err(RefError::Digest);
        }
        let before = text.get(..before.len()).ok_or(RefError::Digest)?;
        if before.contains('@') {
            return Err(RefError::Digest);
        }
        return Ok((before, Some(RefDigest { algorithm, hex: hex.to_owned() })));
    }
    if text.contains('@') { Err(RefError::Digest) } else { Ok((text, None)) }
}

impl fmt::Display for HubRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.owner, self.repo)?;
        match &self.digest {
            Some(digest) => write!(f, "@{digest}")?,
            None => write!(f, ":{}", self.tag)?,
        }
        self.flavor.iter().try_for_each(|flavor| write!(f, "#{flavor}"))
    }
}

impl fmt::Display for RefDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.algorithm.as_str(), self.hex)
    }
}
