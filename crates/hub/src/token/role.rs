//! Tokens of people and of their build systems, for what jobs may not do (Hub contract, 13.10).

use serde::{Deserialize, Serialize};

/// What a role token says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RoleClaims {
    /// Who has it; the log of changes names them so.
    pub sub: String,
    /// For whose projects.
    pub tenant: String,
    /// What they may do there.
    pub roles: Vec<Role>,
    /// Since when, in seconds since 1970.
    pub iat: u64,
    /// Until when.
    pub exp: u64,
}

/// What somebody may do in the projects of a tenant. Whoever has a role may look.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Publish releases, and take them away.
    Publisher,
    /// Say which release callers get.
    Promoter,
}

impl RoleClaims {
    /// Whether they have this role for the projects of `tenant`, whose name has no case.
    #[must_use]
    pub fn has(&self, role: Role, tenant: &str) -> bool {
        self.is_of(tenant) && self.roles.contains(&role)
    }

    /// Whether they may look at the projects of `tenant`.
    #[must_use]
    pub fn is_of(&self, tenant: &str) -> bool {
        self.tenant.eq_ignore_ascii_case(tenant)
    }
}
