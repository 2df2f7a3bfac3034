//! What follows the end of a connection or of an attempt: the wire contract, section 3, as a pure policy.
//!
//! Owns the counts: failures in a row, redirect hops, strikes against the token, time without a connection. Has no
//! clock and no random numbers of its own.

use std::time::Duration;

use tokio::time::Instant;
use tonic::Code;

use super::LinkFailure;
use crate::{
    address::Address,
    backoff::{Backoff, BackoffOptions},
};

/// Redirects followed in a row before the configured addresses get their turn.
const HOPS_MAX: u32 = 3;

/// Refusals of the token before it counts as dead, and the time they must span.
const STRIKES_MAX: u32 = 3;
/// See [`STRIKES_MAX`].
const STRIKES_SPAN: Duration = Duration::from_secs(60);

const NOT_LEADER: &str = "not_leader:";

/// Refusals after which no attempt can succeed.
const FATAL_TOKENS: [&str; 4] =
    ["protocol_version_mismatch", "worker_id_mismatch", "release_id_mismatch", "missing worker identity"];

/// Options of the policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RedialOptions {
    /// Waits between attempts.
    pub backoff: BackoffOptions,
    /// Attempts in a row without an acknowledgement before the worker gives up; 0 means never.
    pub attempts_max: u32,
    /// Time without a live connection before the worker gives up; none means never.
    pub disconnected_max: Option<Duration>,
}

impl Default for RedialOptions {
    /// The contract's backoff, any number of attempts, 600 s without a connection.
    fn default() -> Self {
        Self { backoff: BackoffOptions::default(), attempts_max: 0, disconnected_max: Some(Duration::from_secs(600)) }
    }
}

/// Why the worker gives up.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FatalRefusal {
    /// The orchestrator speaks another version, or refuses ours.
    #[error("protocol version mismatch: {0}")]
    Version(String),
    /// The orchestrator refuses this worker's identity.
    #[error("the orchestrator refuses this worker: {0}")]
    Identity(String),
    /// The token was refused for too long.
    #[error("the worker token was refused {strikes} times over {} s", .span.as_secs())]
    Token {
        /// Refusals since the last acknowledgement or new token.
        strikes: u32,
        /// Time since the first of them.
        span: Duration,
    },
    /// The token has characters that no header can carry.
    #[error("the worker token cannot be sent in a header")]
    TokenUnusable,
    /// No connection for too long.
    #[error("no connection for more than {} s", .0.as_secs())]
    Disconnected(Duration),
    /// Too many attempts in a row failed.
    #[error("{0} attempts in a row failed")]
    Attempts(u32),
}

/// What to do next.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Verdict {
    /// Dial `address` after `wait`.
    Redial { address: Address, wait: Duration },
    /// Give up.
    GiveUp(FatalRefusal),
}

#[derive(Debug)]
pub(crate) struct RedialPolicy {
    options: RedialOptions,
    addresses: Vec<Address>,
    backoff: Backoff,
    /// Backoff rounds since the last acknowledgement: picks the address.
    rounds: usize,
    attempts: u32,
    hops: u32,
    strikes: u32,
    first_strike: Option<Instant>,
    disconnected_since: Instant,
}

impl RedialPolicy {
    /// A policy for `primary` and the addresses tried after it, from `now` on.
    pub(crate) fn new(primary: Address, seeds: Vec<Address>, options: RedialOptions, now: Instant) -> Self {
        let addresses = std::iter::once(primary).chain(seeds).collect();
        Self {
            backoff: Backoff::new(options.backoff),
            options,
            addresses,
            rounds: 0,
            attempts: 0,
            hops: 0,
            strikes: 0,
            first_strike: None,
            disconnected_since: now,
        }
    }

    /// The first address to dial.
    pub(crate) fn primary(&self) -> Address {
        self.addresses.first().expect("built from at least one").clone()
    }

    /// The handshake succeeded.
    pub(crate) fn acknowledged(&mut self) {
        self.forgive();
        (self.rounds, self.attempts, self.hops) = (0, 0, 0);
    }

    /// The token was replaced.
    pub(crate) fn forgive(&mut self) {
        (self.strikes, self.first_strike) = (0, None);
    }

    /// The moment at which a worker without a connection gives up.
    pub(crate) fn gives_up_at(&self) -> Option<Instant> {
        self.disconnected_since.checked_add(self.options.disconnected_max?)
    }

    /// What giving up at that moment is called.
    pub(crate) fn disconnected(&self) -> FatalRefusal {
        FatalRefusal::Disconnected(self.options.disconnected_max.unwrap_or_default())
    }

    /// An attempt at `dialed` failed, or a connection to it that `lived` after its acknowledgement ended. `unit` is
    /// a random number in `[0, 1]`.
    pub(crate) fn failed(
        &mut self,
        failure: &LinkFailure,
        dialed: &Address,
        lived: Option<Duration>,
        now: Instant,
        unit: f64,
    ) -> Verdict {
        match lived {
            Some(lived) => {
                self.backoff.connection_ended(lived);
                self.disconnected_since = now;
            }
            None => self.attempts = self.attempts.saturating_add(1),
        }
        if let Some(fatal) = self.fatal(failure, now) {
            return Verdict::GiveUp(fatal);
        }
        if let Some(address) = redirect(failure, dialed)
            && self.hops < HOPS_MAX
        {
            self.hops += 1;
            return Verdict::Redial { address, wait: Duration::ZERO };
        }
        self.hops = 0;
        if self.gives_up_at().is_some_and(|at| now > at) {
            return Verdict::GiveUp(self.disconnected());
        }
        if self.options.attempts_max != 0 && self.attempts >= self.options.attempts_max {
            return Verdict::GiveUp(FatalRefusal::Attempts(self.attempts));
        }
        // A connection that lived is worth another try at the primary; the seeds come after that.
        self.rounds = if lived.is_some() { 0 } else { self.rounds + 1 };
        let at = self.rounds % self.addresses.len();
        let address = self.addresses.get(at).expect("a remainder is in range").clone();
        Verdict::Redial { address, wait: self.backoff.next(unit) }
    }

    fn fatal(&mut self, failure: &LinkFailure, now: Instant) -> Option<FatalRefusal> {
        let status = match failure {
            LinkFailure::Version(version) => return Some(FatalRefusal::Version(version.to_string())),
            LinkFailure::Token => return Some(FatalRefusal::TokenUnusable),
            LinkFailure::Refused(status) => status,
            _ => return None,
        };
        match status.code() {
            Code::FailedPrecondition => {
                let token = FATAL_TOKENS.iter().position(|token| status.message().contains(token))?;
                let detail = status.message().to_owned();
                Some(if token == 0 { FatalRefusal::Version(detail) } else { FatalRefusal::Identity(detail) })
            }
            Code::Unauthenticated => {
                self.strikes = self.strikes.saturating_add(1);
                let span = now.saturating_duration_since(*self.first_strike.get_or_insert(now));
                let dead = self.strikes >= STRIKES_MAX && span >= STRIKES_SPAN;
                dead.then_some(FatalRefusal::Token { strikes: self.strikes, span })
            }
            _ => None,
        }
    }
}

/// The target of a redirect. One that cannot be read counts as an ordinary refusal.
fn redirect(failure: &LinkFailure, dialed: &Address) -> Option<Address> {
    let LinkFailure::Refused(status) = failure else { return None };
    if status.code() != Code::FailedPrecondition {
        return None;
    }
    dialed.redirected(status.message().strip_prefix(NOT_LEADER)?).ok()
}
