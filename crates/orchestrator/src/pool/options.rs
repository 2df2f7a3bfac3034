//! Settings of the pool.

use std::{sync::Arc, time::Duration};

use crate::{
    hub::{Hub, NoHub},
    request::UnixMs,
};

/// Settings of the pool, with defaults for one machine.
#[derive(Clone, Debug)]
pub struct Options {
    /// How long requests of a worker whose stream broke wait for it to come back before they go elsewhere (O11).
    pub reconnect_window: Duration,
    /// Requests one worker holds at once. Workers run everything they are sent, so this is what keeps the queue
    /// here, where it is ordered, and not there.
    pub jobs_per_worker_max: u32,
    /// Unfinished requests; submits beyond it are refused.
    pub unfinished_max: usize,
    /// How long ended requests and their events stay in memory (P-12). Memory requests are forgotten after it.
    pub ended_kept: Duration,
    /// Ended requests in memory, whatever their age.
    pub ended_rows_max: usize,
    /// Bytes of ended requests in memory, whatever their age.
    pub ended_bytes_max: usize,
    /// Bytes of events of unfinished requests; beyond it requests lose their oldest events.
    pub ring_bytes_max: usize,
    /// How long a worker has to answer a cancel before the request ends without it.
    pub cancel_grace: Duration,
    /// Time beyond its `timeout_ms` after which an attempt is over here, whatever its worker does (O15). The worker's
    /// own clock runs in the handler only, so downloads, set-up and the wait for a slot have to fit in here.
    pub overtime: Duration,
    /// Pause before a failed attempt is repeated; doubled with every failure, at most [`RETRY_PAUSE_MAX`].
    pub retry_pause: Duration,
    /// Wall time at the start of the pool, from which its clock goes on. `None` asks the system; a simulation, whose
    /// time is not that of the system, gives its own.
    pub started_at: Option<UnixMs>,
    /// HTTP base that workers use for files; never empty on the wire (O25).
    pub file_base_url: String,
    /// Where models and files are.
    pub hub: Arc<dyn Hub>,
}

/// Longest pause between attempts: the last of ten attempts still comes within a minute.
pub const RETRY_PAUSE_MAX: Duration = Duration::from_secs(5);

impl Default for Options {
    fn default() -> Self {
        Self {
            reconnect_window: Duration::from_secs(15),
            jobs_per_worker_max: 64,
            unfinished_max: 100_000,
            ended_kept: Duration::from_secs(60),
            ended_rows_max: 50_000,
            ended_bytes_max: 256 * 1024 * 1024,
            ring_bytes_max: 256 * 1024 * 1024,
            cancel_grace: Duration::from_secs(30),
            overtime: Duration::from_secs(15 * 60),
            retry_pause: Duration::from_millis(100),
            started_at: None,
            file_base_url: "http://127.0.0.1".to_owned(),
            hub: Arc::new(NoHub::default()),
        }
    }
}
