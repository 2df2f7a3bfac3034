//! Who asks, and what they may do (Hub contract, 1.3 and 1.5).

use std::sync::Arc;

use axum::{
    extract::FromRequestParts,
    http::{HeaderMap, StatusCode, header, request::Parts},
};
use gen_worker_hub::{
    BearerToken,
    model_ref::RepoName,
    token::{Area, CapabilityClaims, Right},
};

use super::error::ApiError;
use crate::{hub::Hub, metadata::Holder, signing::same_token};

/// A token that may do everything, for those who run the hub.
#[derive(Clone, Debug)]
pub struct OperatorToken(pub BearerToken);

/// Who asks.
#[derive(Debug)]
pub(crate) enum Caller {
    /// Nobody in particular.
    Anonymous,
    /// Who runs the hub.
    Operator,
    /// A job.
    Job(Box<CapabilityClaims>),
}

impl Caller {
    /// Whether the caller may do this.
    pub fn may(&self, area: Area, right: Right, owner: &str, name: &str) -> bool {
        match self {
            Self::Anonymous => false,
            Self::Operator => true,
            Self::Job(claims) => claims.allows(area, right, owner, name),
        }
    }

    /// Refuses who may not write there.
    pub fn must_write(&self, area: Area, owner: &str, name: &str) -> Result<(), ApiError> {
        if self.may(area, Right::Write, owner, name) {
            return Ok(());
        }
        Err(match self {
            Self::Anonymous => ApiError::new(StatusCode::UNAUTHORIZED, "unauthenticated", "this needs a token"),
            _ => ApiError::new(StatusCode::FORBIDDEN, "forbidden_owner", "the token does not cover this owner"),
        })
    }

    /// Whether the caller may read what a holder has.
    pub fn may_read(&self, holder: &Holder) -> bool {
        match holder {
            Holder::Repo { repo, private } => self.may_read_repo(repo, *private),
            Holder::Media { owner } => self.may(Area::Media, Right::Read, owner, "*"),
            Holder::Dataset { owner, name, private } => !private || self.may(Area::Dataset, Right::Read, owner, name),
        }
    }

    /// Whether the caller may read a repository.
    pub fn may_read_repo(&self, repo: &RepoName, private: bool) -> bool {
        !private || self.may(Area::Repo, Right::Read, repo.owner(), repo.repo())
    }

    /// Largest file that the caller may write.
    pub fn file_bytes_max(&self) -> u64 {
        match self {
            Self::Job(claims) => claims.limits.per_file.unwrap_or(u64::MAX),
            _ => u64::MAX,
        }
    }
}

impl FromRequestParts<Arc<Hub>> for Caller {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, hub: &Arc<Hub>) -> Result<Self, ApiError> {
        let Some(token) = bearer(&parts.headers)? else { return Ok(Self::Anonymous) };
        let refused = |why: &str| ApiError::new(StatusCode::UNAUTHORIZED, "unauthenticated", why);
        if hub.options.operators.iter().any(|operator| same_token(&operator.0, &token)) {
            return Ok(Self::Operator);
        }
        let claims = hub.tokens.verify(&token, hub.options.clock.now_s());
        claims.map(|claims| Self::Job(Box::new(claims))).map_err(|error| refused(&format!("the token: {error}")))
    }
}

/// The token of a request, if it has one.
pub(super) fn bearer(headers: &HeaderMap) -> Result<Option<BearerToken>, ApiError> {
    let Some(header) = headers.get(header::AUTHORIZATION) else { return Ok(None) };
    let text = header.to_str().ok().and_then(|text| text.split_once(' '));
    let token = text.filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"));
    let token = token.and_then(|(_, token)| token.parse::<BearerToken>().ok());
    let refused = || ApiError::new(StatusCode::UNAUTHORIZED, "unauthenticated", "the token is none");
    token.map(Some).ok_or_else(refused)
}

/// The repository of an address, in the form in which it is stored.
pub(crate) fn repo_name(owner: &str, repo: &str) -> Result<RepoName, ApiError> {
    let name = format!("{owner}/{repo}").parse::<RepoName>();
    name.map(|name| name.to_lowercase()).map_err(|_| ApiError::not_found("repository"))
}

/// The tenant of an address, in the form in which it is stored.
pub(crate) fn owner_name(owner: &str) -> Result<String, ApiError> {
    Ok(repo_name(owner, "media")?.owner().to_owned())
}
