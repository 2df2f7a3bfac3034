//! What a pool needs of the place where models and files are: tokens for its jobs, the files behind a model ref, and addresses of
//! outputs. The pool knows no hub; whoever starts it brings one, or [`NoHub`].

mod absent;

use std::{fmt, time::Duration};

use futures::future::BoxFuture;
use gen_worker_proto::{Pair, pb};

pub use absent::NoHub;

/// A hub as the pool sees it. Nothing here may block.
pub trait Hub: Send + Sync + fmt::Debug {
    /// The token with which an attempt reads and writes files; another one for every call. It costs microseconds: the pool calls
    /// this on its way to the worker.
    fn token(&self, job: &JobGrant<'_>) -> String;

    /// A token with the same grants that ends later, for an attempt that runs where it should (Hub contract, 9.3).
    ///
    /// # Errors
    /// When `token` is none of this pair.
    fn renew(&self, pair: &Pair, token: &str) -> Result<Renewed, NotItsToken>;

    /// What a model ref stands for, as far as this tenant may know: the tenant of a request for what that names, the owner of an
    /// endpoint for what that declares.
    ///
    /// # Errors
    /// When the hub cannot say now.
    fn resolve(&self, tenant: &str, reference: &str) -> BoxFuture<'static, Result<Lookup, HubUnavailable>>;

    /// Where a stored file of a tenant can be read for an hour at least; `None` when there is none under this ref.
    ///
    /// # Errors
    /// When the hub cannot say now.
    fn output(&self, tenant: &str, reference: &str) -> BoxFuture<'static, Result<Option<String>, HubUnavailable>>;

    /// Whether there is one at all. Without it outputs are believed, and nobody can fetch them here.
    fn is_present(&self) -> bool;
}

/// For which attempt a token is.
#[derive(Clone, Copy, Debug)]
pub struct JobGrant<'a> {
    /// The request and its attempt.
    pub pair: &'a Pair,
    /// Worker that runs it.
    pub worker_id: &'a str,
    /// For whom it runs.
    pub tenant: &'a str,
    /// Kind of its function as its manifest says; empty when nobody told.
    pub kind: &'a str,
    /// Longest time it may run, when it has one.
    pub timeout: Option<Duration>,
}

/// A token that was renewed.
#[derive(Clone)]
pub struct Renewed {
    /// The token.
    pub token: String,
    /// When it ends, in seconds since 1970.
    pub expires_at_unix: u64,
}

/// What a hub says of a ref.
#[derive(Clone, Debug)]
pub enum Lookup {
    /// It is there, and the tenant may read it.
    Found(Resolved),
    /// It is there, and the tenant may not know of it. Nobody outside is told the difference from [`Lookup::Absent`], but a job that
    /// names it does not run: its worker may hold the files for somebody else.
    Hidden,
    /// There is no such thing, or the ref is of another provider.
    Absent,
}

/// Files of a model.
#[derive(Clone, Debug)]
pub struct Resolved {
    /// With an address for every file.
    pub snapshot: pb::Snapshot,
    /// How long the addresses are good.
    pub valid: Duration,
}

/// The token is not of this pair, was not made here, or has ended too long ago.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the token is none of this attempt")]
pub struct NotItsToken;

/// The hub cannot say now; why is in the log of whoever brought it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the hub cannot be asked now")]
pub struct HubUnavailable;

impl fmt::Debug for Renewed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Renewed").field("expires_at_unix", &self.expires_at_unix).finish_non_exhaustive()
    }
}
