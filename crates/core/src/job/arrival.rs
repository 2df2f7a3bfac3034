//! What the job machine must know about a dispatched pair. Values only.

use gen_worker_proto::Pair;

use super::GpuSpan;

/// A dispatched pair and the circumstances it meets.
#[derive(Clone, Debug)]
pub struct Arrival<'a> {
    /// The pair.
    pub pair: Pair,
    /// Size of the payload.
    pub input_bytes: usize,
    /// The worker takes no new pairs.
    pub draining: bool,
    /// What the function name stands for here.
    pub target: Target<'a>,
}

/// What a function name stands for on this worker.
#[derive(Clone, Copy, Debug)]
pub enum Target<'a> {
    /// No function has this name.
    Unknown(&'a str),
    /// The function cannot run here, for this reason.
    Disabled(&'a str),
    /// The dispatch asks for what no function can do, for this reason.
    Invalid(&'a str),
    /// It can run, given these things.
    Known(Needs),
}

/// What a job of a function needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Needs {
    /// The caller's number of the function.
    pub function: usize,
    /// Jobs of this function at once; 0 means no bound.
    pub concurrency_max: usize,
    /// Files or a source that its payload names have to be looked at first.
    pub files: bool,
    /// Its instance has to be fetched or set up first.
    pub instance: bool,
    /// Its handler blocks a thread and cannot be interrupted.
    pub thread: bool,
    /// Accelerators it runs on (12.5).
    pub gpu: Option<GpuSpan>,
}
