//! Variables of endpoints (Hub contract, section 10). Their values are encrypted before they come here.

use gen_worker_hub::{
    api::{EnvironmentName, EnvironmentScope},
    names::{ReleaseId, Tag},
};

use super::Answer;

/// Variables of one endpoint: all of them become the environment of one process.
pub(super) const VARIABLES_MAX: i64 = 256;

/// A variable of an endpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Variable {
    /// Its name.
    pub name: EnvironmentName,
    /// Its value, encrypted.
    pub sealed: Vec<u8>,
    /// Whether lists hide the value.
    pub sensitive: bool,
    /// For people.
    pub description: Option<String>,
    /// For which releases; none for all.
    pub applies_to: Option<EnvironmentScope>,
}

/// The endpoint of an owner.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EndpointName {
    /// Who owns it.
    pub owner: String,
    /// What it is called.
    pub endpoint: String,
}

/// What a scope may know a release by, besides its id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReleaseLabels {
    /// The tags of one endpoint that point at it, in their order.
    pub tags: Vec<Tag>,
    /// Which callers and variables it fits.
    pub compatibility_version: Option<String>,
}

/// The part of the seam for variables.
pub trait Environments {
    /// Sets a variable. True when it was not there.
    ///
    /// # Errors
    /// [`super::MetadataError::RefExists`] for one that is there and was only to be created; [`super::MetadataError::Unfit`] when
    /// the endpoint has too many.
    fn put_variable(&self, of: EndpointName, variable: Variable, create: bool) -> Answer<'_, bool>;

    /// The variables of an endpoint, by name.
    fn variables(&self, of: EndpointName) -> Answer<'_, Vec<Variable>>;

    /// By what the variables of an endpoint may know a release; none of a release that its owner does not have.
    fn release_labels(&self, of: EndpointName, release: ReleaseId) -> Answer<'_, Option<ReleaseLabels>>;

    /// Takes a variable away. False when it is not there.
    fn remove_variable(&self, of: EndpointName, name: EnvironmentName) -> Answer<'_, bool>;
}
