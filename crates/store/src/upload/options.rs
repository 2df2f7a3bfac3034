//! The numbers of uploads.

use std::time::Duration;

use gen_worker_hub::{api::PART_SIZE_DEFAULT, client::RetryPolicy};

use crate::input::AddressRule;

/// Timeouts, retries and how much goes on at once. The default is the contract's (section 15).
#[derive(Clone, Debug)]
pub struct UploadOptions {
    /// For a connection to where parts go.
    pub part_connect: Duration,
    /// Time in which such a server has to take something of a part, or to answer.
    pub part_stall: Duration,
    /// How a part is repeated.
    pub part_retry: RetryPolicy,
    /// Parts of one file that are sent at once.
    pub parts_per_file: usize,
    /// Parts of one file, besides, that are sent and not answered yet: while a server makes durable what it has, it is sent more.
    pub unanswered_per_file: usize,
    /// Parts at once in all, those that are not answered yet among them.
    pub parts: usize,
    /// Files at once.
    pub files: usize,
    /// Largest file in bytes (Hub contract, 9.12).
    pub file_bytes_max: u64,
    /// Uploads to a bucket, by grant.
    pub grant: GrantOptions,
    /// Which hosts clients may have files delivered to (Hub contract, 11.6).
    pub outside: AddressRule,
    /// PEM roots that are trusted besides the system's.
    pub extra_roots: Option<Vec<u8>>,
}

/// The numbers of uploads by grant (Hub contract, 4d).
#[derive(Clone, Debug)]
pub struct GrantOptions {
    /// Files at once; they count as files of the process, too.
    pub files: usize,
    /// How a file is repeated.
    pub retry: RetryPolicy,
    /// How a request is repeated within that.
    pub request_retry: RetryPolicy,
    /// Parts of one file at once, by attempt. Later ones go on with the last. Parts are held in memory while they are sent,
    /// so those of all files are bounded by [`UploadOptions::parts`], too.
    pub parts_at_once: Vec<usize>,
    /// Bytes of a part. Files that have fewer go as one.
    pub part_bytes: u64,
}

impl Default for UploadOptions {
    fn default() -> Self {
        Self {
            part_connect: Duration::from_secs(30),
            part_stall: Duration::from_secs(120),
            part_retry: RetryPolicy::PART,
            parts_per_file: 4,
            // All but one of those of the process: a file whose server does not answer leaves one to the others.
            unanswered_per_file: 3,
            parts: 8,
            files: 4,
            file_bytes_max: 20 << 30,
            grant: GrantOptions::default(),
            outside: AddressRule::Public,
            extra_roots: None,
        }
    }
}

impl Default for GrantOptions {
    fn default() -> Self {
        Self {
            files: 2,
            retry: RetryPolicy::GRANT,
            request_retry: RetryPolicy::GRANT_REQUEST,
            parts_at_once: vec![10, 5, 1],
            part_bytes: PART_SIZE_DEFAULT,
        }
    }
}

impl UploadOptions {
    /// Parts of one file that are sent or not answered yet.
    pub(super) fn open_per_file(&self) -> usize {
        self.parts_per_file.max(1).saturating_add(self.unanswered_per_file)
    }
}

impl GrantOptions {
    /// Parts at once after so many attempts that failed: one that overwhelmed a server is repeated with less.
    pub(super) fn at_once(&self, failures: usize) -> usize {
        let counts = &self.parts_at_once;
        counts.get(failures).or(counts.last()).copied().unwrap_or(1).max(1)
    }
}

#[cfg(test)]
mod tests;
