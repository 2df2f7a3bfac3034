//! What every route shares, and how it is configured.

use std::{fmt, sync::Arc, time::Duration};

use axum::Router;
use gen_worker_tasks::Scope;

use crate::{
    pool::Handle,
    session::{TokenGate, WorkerVerifier},
};

/// Largest body by default: 8 MiB (contract P-3).
const BODY_BYTES_MAX: usize = 8 * 1024 * 1024;

/// How long open connections may take to finish what they hold, by default.
const DRAIN: Duration = Duration::from_secs(10);

/// Tenant that is assumed where nobody has to say who they are.
pub const DEV_TENANT: &str = "dev";

/// How the API behaves.
#[derive(Clone, Debug)]
pub struct Options {
    /// Who may call.
    pub access: Access,
    /// Largest request body in bytes.
    pub body_bytes_max: usize,
    /// Release that requests are addressed to.
    pub release_id: String,
    /// How long open connections may take once a stop was asked for.
    pub drain: Duration,
    /// Who may call as a worker; an orchestrator sets its own.
    pub workers: Arc<dyn WorkerVerifier>,
    /// Serves what lies below `/api/` and `/s3/` on the same address: the hub, when it is in this process.
    pub beside: Option<Router>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            access: Access::Tokens(Vec::new()),
            body_bytes_max: BODY_BYTES_MAX,
            release_id: "dev".to_owned(),
            drain: DRAIN,
            workers: Arc::new(TokenGate::new(Vec::new())),
            beside: None,
        }
    }
}

/// Who may call the API.
#[derive(Clone, Debug)]
pub enum Access {
    /// Everybody who can connect, as tenant `dev`, except web pages of another origin. For one's own machine.
    Dev,
    /// Bearers of these tokens; without any, nobody.
    Tokens(Vec<Token>),
}

impl Access {
    /// The tenant of a caller with this bearer token; `None` when it is not allowed in.
    pub(super) fn tenant(&self, bearer: Option<&str>) -> Option<Arc<str>> {
        match self {
            Self::Dev => Some(DEV_TENANT.into()),
            Self::Tokens(tokens) => {
                let digest = blake3::hash(bearer?.as_bytes());
                // Digests compare in constant time, so the comparison tells nothing about the tokens.
                tokens.iter().find(|token| token.digest == digest).map(|token| Arc::clone(&token.tenant))
            }
        }
    }
}

/// A bearer token and whom it stands for. Only a digest of the secret is kept.
#[derive(Clone)]
pub struct Token {
    digest: blake3::Hash,
    tenant: Arc<str>,
}

impl Token {
    /// A token of `tenant`.
    #[must_use]
    pub fn new(secret: &str, tenant: &str) -> Self {
        Self { digest: blake3::hash(secret.as_bytes()), tenant: tenant.into() }
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Token").field("tenant", &self.tenant).finish_non_exhaustive()
    }
}

/// Shared by all routes.
#[derive(Debug)]
pub(super) struct Api {
    pub(super) handle: Handle,
    pub(super) options: Options,
    /// Owner of what outlives a reply.
    pub(super) scope: Arc<Scope>,
    /// The OpenAPI document.
    pub(super) document: String,
}

/// As the routes get it.
pub(super) type Shared = Arc<Api>;
