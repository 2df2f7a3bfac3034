//! What travels from this worker to the orchestrator. Values only; how they are encoded is the link's business.

use bytes::Bytes;
use gen_worker_proto::{
    Pair,
    pb::{self, job_result::Output, worker_message::Msg},
};

/// A message on its way out. The three that every job sends have a form of their own, so that the hot path
/// copies no ids.
#[derive(Clone, Debug, PartialEq)]
pub enum Outgoing {
    /// The worker owns the pair.
    Accepted {
        /// The pair.
        pair: Pair,
        /// The orchestrator asked again; the first acceptance was queued before.
        repeated: bool,
    },
    /// One frame of a running pair.
    Progress(Progress),
    /// The end of a pair.
    Result(JobEnd),
    /// Everything else.
    Other(Box<Msg>),
}

/// One frame of a running pair.
#[derive(Clone, Debug, PartialEq)]
pub struct Progress {
    /// The pair.
    pub pair: Pair,
    /// From 1 upward, one more per frame.
    pub seq: i64,
    /// Media type of `data`.
    pub content_type: &'static str,
    /// The chunk.
    pub data: Bytes,
}

/// The end of a pair.
#[derive(Clone, Debug, PartialEq)]
pub struct JobEnd {
    /// The pair.
    pub pair: Pair,
    /// How it ended.
    pub status: pb::JobStatus,
    /// What the handler returned.
    pub output: EndOutput,
    /// Text for the client, sanitized; empty on success.
    pub message: String,
    /// Measurements; absent when the handler never started.
    pub metrics: Option<pb::JobMetrics>,
    /// Where the spool keeps it until it is written.
    pub record: Option<u64>,
}

/// Output of a pair.
#[derive(Clone, Debug, PartialEq, Default)]
pub enum EndOutput {
    /// There is none.
    #[default]
    None,
    /// It travels in the result.
    Inline(Bytes),
    /// It was uploaded; this is its file ref.
    BlobRef(String),
}

impl JobEnd {
    /// An end as it was written; `None` = no worker of ours wrote it. Its output shares the message's memory.
    pub(crate) fn read(result: pb::JobResult) -> Option<Self> {
        Some(Self {
            pair: Pair::parse(result.request_id, result.attempt).ok()?,
            status: pb::JobStatus::try_from(result.status).ok()?,
            output: match result.output {
                None => EndOutput::None,
                Some(Output::Inline(bytes)) => EndOutput::Inline(bytes),
                Some(Output::BlobRef(file_ref)) => EndOutput::BlobRef(file_ref),
            },
            message: result.safe_message,
            metrics: result.metrics,
            record: None,
        })
    }
}

impl Outgoing {
    /// The pair the message is about.
    #[must_use]
    pub fn pair(&self) -> Option<&Pair> {
        match self {
            Self::Accepted { pair, .. } => Some(pair),
            Self::Progress(progress) => Some(&progress.pair),
            Self::Result(end) => Some(&end.pair),
            Self::Other(_) => None,
        }
    }

    /// Whether it counts towards the bound of the queue.
    #[must_use]
    pub fn is_bounded(&self) -> bool {
        !matches!(self, Self::Result(_))
    }
}

impl From<Msg> for Outgoing {
    fn from(message: Msg) -> Self {
        Self::Other(Box::new(message))
    }
}
