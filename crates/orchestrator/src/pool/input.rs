//! Everything that can happen to the pool: the closed vocabulary of the owner loop.

use std::{sync::Arc, time::Duration};

use gen_worker_proto::RequestId;
use tokio::sync::oneshot;

use super::{
    clock::Tick,
    event::EventId,
    subscription::Subscription,
    views::{CancelOutcome, FunctionManifest, PoolError, SubmitError, Submitted},
};
use crate::{
    queue::Filter,
    request::{NewRequest, Request},
    session::{
        SessionId,
        outbound::Outbound,
        report::{HelloReport, Report},
    },
};

/// One thing that happened, sent to the owner loop.
#[derive(Debug)]
pub(crate) enum Input {
    /// Take requests in.
    Submit {
        requests: Vec<NewRequest>,
        at: Tick,
        reply: oneshot::Sender<Result<Vec<Result<Submitted, SubmitError>>, PoolError>>,
    },
    /// Look at a request; `None` when it is not in memory.
    Get { id: RequestId, reply: oneshot::Sender<Option<Arc<Request>>> },
    /// Answer once the request has ended; `None` when it is not in memory.
    Wait { id: RequestId, reply: oneshot::Sender<Option<Arc<Request>>> },
    /// Cancel; `None` when the request is not in memory.
    Cancel { id: RequestId, reply: oneshot::Sender<Option<CancelOutcome>> },
    /// Listen; `None` when the request is not in memory.
    Subscribe { id: RequestId, after: Option<EventId>, reply: oneshot::Sender<Option<Subscription>> },
    /// Requests in memory that match; rows of the store replaced by what is newer here.
    List { filter: Box<Filter>, rows: Vec<Request>, reply: oneshot::Sender<Vec<Request>> },
    /// Send Drain.
    Drain { worker_id: String, deadline: Duration, reply: oneshot::Sender<bool> },
    /// Endpoints say what their functions are.
    Describe { manifests: Vec<FunctionManifest>, reply: oneshot::Sender<()> },
    /// A worker stream passed its gate.
    Arrived(Box<Arrival>),
    /// A worker said something; never empty.
    Reports { session: SessionId, reports: Vec<Report> },
    /// A worker stream is over. `clean` = the worker ended it.
    Departed { session: SessionId, clean: bool },
    /// A worker stream was refused at its gate.
    Refused,
}

/// A worker stream that passed its gate.
#[derive(Debug)]
pub(crate) struct Arrival {
    pub(crate) session: SessionId,
    pub(crate) hello: HelloReport,
    pub(crate) outbound: Outbound,
}
