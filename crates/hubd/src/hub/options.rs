//! How a hub behaves, and what makes none.

use std::{sync::Arc, time::Duration};

use gen_worker_hub::{api::PART_SIZE_DEFAULT, token::KeyError};
use serde::{Deserialize, Serialize};

use crate::{api::OperatorToken, clock::Clock, renewal::RunningJobs, signing::SECRET_BYTES};

/// Rest between two rounds of [`crate::Hub::run`] when nothing else is said: a round that finds nothing costs a few reads of an index, and what expires
/// lives for hours.
pub const TIDY_EVERY: Duration = Duration::from_secs(60);

/// How long a content that nothing names stays when nothing else is said: longer than any address of it lives.
pub const UNUSED_GRACE: Duration = Duration::from_secs(24 * 60 * 60);

/// Largest file of older workers when nothing else is said, in bytes (Hub contract, 11.2).
const OLD_FILE_BYTES_MAX: u64 = 200 * 1024 * 1024;

/// Connections of a hub: a transfer may hold a megabyte, and each one has a descriptor or two.
const CONNECTIONS: usize = 256;

/// Connections of one address: eight workers with the eight transfers that each may have (Hub contract, 4.13), and no more than
/// a quarter of all.
const CONNECTIONS_PER_ADDRESS: usize = 64;

/// Clients give up themselves after 120 s without progress (Hub contract, section 15); a working one never pauses for half of it.
const STALL: Duration = Duration::from_secs(60);

/// Work over 5 s is answered with "running" (Hub contract, 6.21).
const FINALIZE_WAIT: Duration = Duration::from_secs(5);

/// Who may see a repository that a commit makes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Visibility {
    /// Everybody.
    Public,
    /// Who has a token for it.
    Private,
}

/// Options of a [`crate::Hub`].
pub struct HubOptions {
    /// Where clients find the hub; signed addresses start with it.
    pub public_url: String,
    /// Secret from which the keys of addresses and tokens are derived.
    pub secret: [u8; SECRET_BYTES],
    /// Tokens that may do everything.
    pub operators: Vec<OperatorToken>,
    /// New repositories.
    pub visibility: Visibility,
    /// Resolves of one client address without a token in a minute (Hub contract, 3.13).
    pub anonymous_per_minute: u32,
    /// Bytes of a part: a power of two, at least 1024.
    pub part_bytes: u64,
    /// Largest file of older workers, which send it in one call (Hub contract, 11.2).
    pub old_file_bytes_max: u64,
    /// Who knows which jobs run, where there are any: their tokens can be renewed.
    pub jobs: Option<Arc<dyn RunningJobs>>,
    /// Most connections at once. The next ones wait until one ends.
    pub connections: usize,
    /// Most connections from one address (of IPv6: from one /64 network), the machine of the hub itself excepted.
    pub connections_per_address: usize,
    /// How long a client may send nothing of a body, or take nothing of a reply, before its connection is closed.
    pub stall: Duration,
    /// How long a finalize is waited for before its client is told to ask again (Hub contract, 6.21).
    pub finalize_wait: Duration,
    /// Rest between two rounds of [`crate::Hub::run`].
    pub tidy_every: Duration,
    /// How long a content that nothing names any more stays, in whole seconds. Less than addresses live ends those early whose
    /// content has lost its last name.
    pub unused_grace: Duration,
    /// The time.
    pub clock: Clock,
}

/// Why a hub cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum HubSetupError {
    /// The public URL is no address.
    #[error("the public URL of the hub is no address")]
    PublicUrl,
    /// Parts of this size are no subtrees of a hash.
    #[error("the part size of the hub is no power of two from 1024")]
    PartSize,
    /// Nobody could connect.
    #[error("the hub has no room for a connection")]
    Connections,
    /// The secret makes no key.
    #[error("the secret of the hub makes no key")]
    Key(#[from] KeyError),
}

impl HubOptions {
    /// The options of a hub that clients find at `public_url`, with the numbers of the contract.
    #[must_use]
    pub fn new(public_url: impl Into<String>, secret: [u8; SECRET_BYTES]) -> Self {
        Self {
            public_url: public_url.into(),
            secret,
            operators: Vec::new(),
            visibility: Visibility::Private,
            anonymous_per_minute: 60,
            part_bytes: PART_SIZE_DEFAULT,
            old_file_bytes_max: OLD_FILE_BYTES_MAX,
            jobs: None,
            connections: CONNECTIONS,
            connections_per_address: CONNECTIONS_PER_ADDRESS,
            stall: STALL,
            finalize_wait: FINALIZE_WAIT,
            tidy_every: TIDY_EVERY,
            unused_grace: UNUSED_GRACE,
            clock: Clock::system(),
        }
    }
}
