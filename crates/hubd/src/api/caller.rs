//! Who asks, and what they may do (Hub contract, 1.3 and 1.5).

use std::sync::Arc;

use axum::{
    extract::FromRequestParts,
    http::{HeaderMap, StatusCode, header, request::Parts},
};
use gen_worker_hub::{
    BearerToken,
    model_ref::RepoName,
    token::{Area, CapabilityClaims, Right, Role, RoleClaims, TokenError},
};

use serde_json::json;

use super::error::ApiError;
use crate::{
    hub::Hub,
    metadata::{Author, Budget, Reader},
    signing::same_token,
};

/// How long the bytes of a job stay counted when its last token has ended: the longest that a job lives (Hub contract, 9.2), so
/// that a token that is renewed late finds the count.
const BUDGET_KEPT_S: u64 = 7 * 24 * 60 * 60;

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
    Job(Arc<CapabilityClaims>),
    /// Somebody with a role at a tenant.
    Role(Arc<RoleClaims>),
}

impl Caller {
    /// Whether the caller may do this.
    pub fn may(&self, area: Area, right: Right, owner: &str, name: &str) -> bool {
        self.reader().may(area, right, owner, name)
    }

    /// Refuses who has no token.
    pub fn must_be_known(&self) -> Result<(), ApiError> {
        match self {
            Self::Anonymous => Err(ApiError::new(StatusCode::UNAUTHORIZED, "unauthenticated", "this needs a token")),
            _ => Ok(()),
        }
    }

    /// Refuses who may not write there.
    pub fn must_write(&self, area: Area, owner: &str, name: &str) -> Result<(), ApiError> {
        if self.may(area, Right::Write, owner, name) {
            return Ok(());
        }
        self.must_be_known()?;
        Err(ApiError::new(StatusCode::FORBIDDEN, "forbidden_owner", "the token does not cover this owner"))
    }

    /// Refuses who does not have this role at a tenant; jobs have none (Hub contract, 13.10).
    pub fn must_have(&self, role: Role, tenant: &str) -> Result<(), ApiError> {
        match self {
            Self::Operator => Ok(()),
            Self::Role(claims) if claims.has(role, tenant) => Ok(()),
            _ => {
                self.must_be_known()?;
                let message = "the token has no such role at this tenant";
                Err(ApiError::new(StatusCode::FORBIDDEN, "forbidden_role", message))
            }
        }
    }

    /// Refuses who may not see the projects of a tenant: those who have a role there and its jobs may.
    pub fn must_see(&self, tenant: &str) -> Result<(), ApiError> {
        self.must_be_known()?;
        let may = match self {
            Self::Anonymous => false,
            Self::Operator => true,
            Self::Job(claims) => claims.tenant.eq_ignore_ascii_case(tenant),
            Self::Role(claims) => claims.is_of(tenant),
        };
        if may { Ok(()) } else { Err(ApiError::not_found("project")) }
    }

    /// Who it is, for logs of changes.
    pub fn name(&self) -> String {
        match self {
            Self::Anonymous => "nobody".to_owned(),
            Self::Operator => "operator".to_owned(),
            Self::Job(claims) => claims.sub.clone(),
            Self::Role(claims) => claims.sub.clone(),
        }
    }

    /// Whether the caller may read a repository.
    pub fn may_read_repo(&self, repo: &RepoName, private: bool) -> bool {
        self.reader().may_read_repo(repo, private)
    }

    /// What the caller may read.
    pub fn reader(&self) -> Reader {
        match self {
            Self::Anonymous | Self::Role(_) => Reader::Anyone,
            Self::Operator => Reader::Operator,
            Self::Job(claims) => Reader::Job(Arc::clone(claims)),
        }
    }

    /// What the caller may write in all.
    pub fn author(&self) -> Author {
        let budget = match self {
            Self::Job(claims) => claims.limits.total.map(|bytes_max| Budget {
                // Tokens of one attempt share the count: to renew one is not to have more.
                job: json!([claims.tenant, claims.request_id, claims.attempt]).to_string(),
                bytes_max,
                expires_s: claims.exp.saturating_add(BUDGET_KEPT_S),
            }),
            _ => None,
        };
        Author { reader: self.reader(), budget }
    }

    /// Refuses a file that is larger than the caller may write (Hub contract, 9.1).
    pub fn check_file(&self, size_bytes: u64) -> Result<(), ApiError> {
        match self {
            Self::Job(claims) if claims.limits.per_file.is_some_and(|bytes_max| size_bytes > bytes_max) => {
                let message = "the token does not allow files of this size";
                Err(ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, "file_too_large", message))
            }
            _ => Ok(()),
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
        let now_s = hub.options.clock.now_s();
        match hub.roles.verify_role(&token, now_s) {
            Ok(claims) => return Ok(Self::Role(Arc::new(claims))),
            // It may be of the other kind.
            Err(TokenError::Form | TokenError::Algorithm | TokenError::Signature) => {}
            Err(error) => return Err(refused(&format!("the token: {error}"))),
        }
        let claims = hub.tokens.verify(&token, now_s);
        claims.map(|claims| Self::Job(Arc::new(claims))).map_err(|error| refused(&format!("the token: {error}")))
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
