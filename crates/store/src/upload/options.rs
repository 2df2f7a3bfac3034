//! The numbers of uploads.

use std::time::Duration;

use gen_worker_hub::client::RetryPolicy;

/// Timeouts, retries and how much goes on at once. The default is the contract's (section 15).
#[derive(Clone, Debug)]
pub struct UploadOptions {
    /// For a connection to where parts go.
    pub part_connect: Duration,
    /// Time in which such a server has to take something of a part, or to answer.
    pub part_stall: Duration,
    /// How a part is repeated.
    pub part_retry: RetryPolicy,
    /// Parts of one file at once.
    pub parts_per_file: usize,
    /// Parts at once in all.
    pub parts: usize,
    /// Files at once.
    pub files: usize,
    /// Largest file in bytes (Hub contract, 9.12).
    pub file_bytes_max: u64,
    /// PEM roots that are trusted besides the system's.
    pub extra_roots: Option<Vec<u8>>,
}

impl Default for UploadOptions {
    fn default() -> Self {
        Self {
            part_connect: Duration::from_secs(30),
            part_stall: Duration::from_secs(120),
            part_retry: RetryPolicy::PART,
            parts_per_file: 4,
            parts: 8,
            files: 4,
            file_bytes_max: 20 << 30,
            extra_roots: None,
        }
    }
}
