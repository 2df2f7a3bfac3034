//! The numbers of transfers.

use std::time::Duration;

/// Timeouts and retries. The default is the contract's (6.6, section 7).
#[derive(Clone, Debug)]
pub struct TransferOptions {
    /// For a connection.
    pub connect: Duration,
    /// For an answer, and for each [`crate::PACE_BYTES`] of it.
    pub stall: Duration,
    /// How often one file is tried when transfers fail.
    pub tries: u32,
    /// How often one file is tried when other bytes come than were promised.
    pub tries_wrong: u32,
    /// No try starts later than this after the first.
    pub retry_for: Duration,
    /// What the waits between tries double from, and the longest; each is cut by chance, by a half at most.
    pub wait_unit: Duration,
    /// The longest wait.
    pub wait_longest: Duration,
    /// Files of one snapshot that come at once.
    pub blobs: usize,
    /// Files that come at once in all.
    pub sockets: usize,
    /// PEM roots that are trusted besides the system's.
    pub extra_roots: Option<Vec<u8>>,
}

impl Default for TransferOptions {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(60),
            stall: Duration::from_secs(180),
            tries: 30,
            tries_wrong: 3,
            retry_for: Duration::from_secs(3600),
            wait_unit: Duration::from_secs(1),
            wait_longest: Duration::from_secs(30),
            blobs: 4,
            sockets: 8,
            extra_roots: None,
        }
    }
}
