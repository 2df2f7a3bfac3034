//! What a worker is told from outside. Built by the CLI from the environment, or by an embedding program; nothing
//! below reads the environment. Values only.

use std::{fmt, path::PathBuf, sync::Arc, time::Duration};

use gen_worker_proto::{
    limits::{FINISHED_PAIRS_MAX, HANDSHAKE_TIMEOUT, SEND_QUEUE_ENTRIES_MAX},
    pb,
};

use crate::{
    address::Address,
    executor::{OutputUploader, TokenRenewer},
    gpu::{Gpu, NoGpus},
    inputs::InputsOptions,
    job::JobLimits,
    ledger::JobObserver,
    link::{Dial, RedialOptions, TcpDial},
    memory::{MemoryProbe, SystemMemory},
    residency::VramLimits,
    slot::SlotOptions,
    spool::SpoolOptions,
    token_check::TokenCheck,
};

/// Blocking handlers at once unless told otherwise. A thread mostly waits for a disk, a network or a device, so
/// this is well above the usual number of cores; functions that compute bound themselves by `max_concurrency`.
const THREADS: usize = 32;

/// Options of a [`crate::Worker`].
#[derive(Clone)]
pub struct WorkerOptions {
    /// The orchestrator.
    pub address: Address,
    /// Further addresses, tried after [`Self::address`], one per backoff round.
    pub seeds: Vec<Address>,
    /// PEM roots that replace the system's for TLS.
    pub ca_bundle: Option<Vec<u8>>,
    /// Bearer token; none sends no credential at all.
    pub token: Option<String>,
    /// Judges tokens that the orchestrator pushes; without one they are believed. [`Self::token`] is the caller's.
    pub token_check: Option<Arc<dyn TokenCheck>>,
    /// Id in Hello; empty lets the worker make one from the host name and a random suffix.
    pub worker_id: String,
    /// Release in Hello.
    pub release_id: String,
    /// Static facts in Hello. What concerns accelerators is filled in from [`Self::gpus`].
    pub resources: pb::WorkerResources,
    /// How attempts follow each other.
    pub redial: RedialOptions,
    /// Time for dial, Hello and HelloAck together.
    pub handshake_timeout: Duration,
    /// Entries of the send queue besides results.
    pub send_queue_entries: usize,
    /// Bounds on jobs and payloads.
    pub limits: JobLimits,
    /// Grace of a drain that a stop begins.
    pub drain_budget: Duration,
    /// How transports are opened.
    pub dial: Arc<dyn Dial>,
    /// Where outputs go that are too large for the stream. Without one such a job ends retryable with
    /// `output upload failed`.
    pub uploader: Option<Arc<dyn OutputUploader>>,
    /// Bytes of the largest file that is given to it; a job whose output is larger ends invalid. 0 = no bound.
    pub upload_bytes_max: usize,
    /// How files are fetched that payloads name by an address.
    pub inputs: InputsOptions,
    /// Where jobs have directories of their own while they last; removed with what earlier processes left there. Without it
    /// no job can have files on disk.
    pub scratch: Option<PathBuf>,
    /// What renews the tokens of jobs that run on. Without one a job has its token for as long as that lasts.
    pub renewer: Option<Arc<dyn TokenRenewer>>,
    /// Accelerators that this process may use, by ordinal. Hello describes them, and functions that need others are
    /// not offered.
    pub gpus: Vec<Gpu>,
    /// What memory there is, for what is loaded and what has to go.
    pub memory: Arc<dyn MemoryProbe>,
    /// Bounds on what models take of each accelerator.
    pub vram: VramLimits,
    /// Hears of every job that ended.
    pub observer: Option<Arc<dyn JobObserver>>,
    /// Where finished results are kept until they are written; none keeps them in memory only.
    pub spool: Option<SpoolOptions>,
    /// How functions with `isolation = "process"` get their processes. Without it such functions cannot be served.
    pub slots: Option<SlotOptions>,
}

impl WorkerOptions {
    /// The defaults of the contract, for the orchestrator at `address`.
    #[must_use]
    pub fn new(address: Address) -> Self {
        Self {
            address,
            seeds: Vec::new(),
            ca_bundle: None,
            token: None,
            token_check: None,
            worker_id: String::new(),
            release_id: String::new(),
            resources: pb::WorkerResources::default(),
            redial: RedialOptions::default(),
            handshake_timeout: HANDSHAKE_TIMEOUT,
            send_queue_entries: SEND_QUEUE_ENTRIES_MAX,
            limits: JobLimits {
                jobs_max: 0,
                input_bytes_max: 0,
                output_bytes_max: 0,
                threads: THREADS,
                jobs_per_gpu: 1,
                finished_max: FINISHED_PAIRS_MAX,
            },
            drain_budget: Duration::from_secs(30),
            dial: Arc::new(TcpDial),
            uploader: None,
            upload_bytes_max: 0,
            inputs: InputsOptions::default(),
            scratch: None,
            renewer: None,
            gpus: Vec::new(),
            memory: Arc::new(SystemMemory::new(Arc::new(NoGpus))),
            vram: VramLimits::default(),
            observer: None,
            spool: None,
            slots: None,
        }
    }
}

impl fmt::Debug for WorkerOptions {
    /// Leaves the token out.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WorkerOptions")
            .field("address", &self.address)
            .field("worker_id", &self.worker_id)
            .field("release_id", &self.release_id)
            .field("limits", &self.limits)
            .finish_non_exhaustive()
    }
}
