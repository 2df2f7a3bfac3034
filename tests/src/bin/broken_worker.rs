//! A worker that breaks one rule of the wire contract: what a tool that looks for violations has to find.
//!
//! ```text
//! broken-worker worker --addr <address> --worker-id <id> --break <fault> ...    other flags are ignored
//! ```

use std::time::Duration;

use anyhow::{Context, Result, bail};
use gen_worker_proto::pb::{
    self, RunJob, SchedulerMessage, WorkerMessage, job_result::Output, scheduler_message::Msg as Inbound,
    worker_message::Msg, worker_scheduler_client::WorkerSchedulerClient,
};
use tokio::sync::mpsc::{self, Sender};
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::Endpoint;

/// Messages on their way out; more than anybody here has in flight.
const CHANNEL: usize = 4_096;

/// Pause before a broken connection is made again.
const REDIAL: Duration = Duration::from_millis(10);

/// The one thing it does wrong.
#[derive(Clone, Copy, PartialEq)]
enum Fault {
    /// Every result twice.
    AnswersTwice,
    /// The first frame is number 2.
    CountsFromTwo,
    /// Jobs end without having been accepted.
    SkipsAcceptance,
    /// Hello lists what it does not have, in no order.
    InventsJobs,
    /// Jobs run again when they come again.
    RunsAgain,
}

impl Fault {
    fn parse(name: &str) -> Result<Self> {
        Ok(match name {
            "answers-twice" => Self::AnswersTwice,
            "counts-from-two" => Self::CountsFromTwo,
            "skips-acceptance" => Self::SkipsAcceptance,
            "invents-jobs" => Self::InventsJobs,
            "runs-again" => Self::RunsAgain,
            other => bail!("no fault is called {other}"),
        })
    }
}

fn main() -> Result<()> {
    let args: Vec<String> = std::env::args().collect();
    let flag = |name: &str| {
        let at = args.iter().position(|arg| arg == name)?;
        args.get(at + 1)
    };
    let address = flag("--addr").context("no --addr")?.replace("grpc://", "http://");
    let worker_id = flag("--worker-id").context("no --worker-id")?;
    let fault = Fault::parse(flag("--break").context("no --break")?)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut answered = Answered::new();
        loop {
            // A connection that broke is made again: breaking them is what is tested.
            if let Ok(Drained) = serve(&address, worker_id, fault, &mut answered).await {
                return Ok(());
            }
            tokio::time::sleep(REDIAL).await;
        }
    })
}

/// The orchestrator asked for the end.
struct Drained;

/// Pairs that this process has answered.
type Answered = Vec<(String, i64)>;

async fn serve(address: &str, worker_id: &str, fault: Fault, answered: &mut Answered) -> Result<Drained> {
    let mut client = WorkerSchedulerClient::new(Endpoint::from_shared(address.to_owned())?.connect().await?);
    let (sender, outbound) = mpsc::channel(CHANNEL);
    let invented: &[&str] = if fault == Fault::InventsJobs { &["z", "a"] } else { &[] };
    let in_flight = invented.iter().map(|id| pb::InFlightJob { request_id: (*id).to_owned(), attempt: 1 }).collect();
    let hello = pb::Hello { protocol_version: 2, worker_id: worker_id.to_owned(), in_flight, ..pb::Hello::default() };
    send(&sender, Msg::Hello(hello)).await?;
    let mut inbound = client.connect(ReceiverStream::new(outbound)).await?.into_inner();
    while let Some(SchedulerMessage { msg }) = inbound.message().await? {
        match msg {
            Some(Inbound::HelloAck(_)) => {
                let available_functions = vec!["echo".to_owned()];
                let state = pb::StateDelta { phase: 5, available_functions, ..pb::StateDelta::default() };
                send(&sender, Msg::StateDelta(state)).await?;
            }
            Some(Inbound::RunJob(job)) => answer(&sender, job, fault, answered).await?,
            Some(Inbound::Drain(_)) => return Ok(Drained),
            _ => {}
        }
    }
    bail!("the call ended")
}

async fn answer(sender: &Sender<WorkerMessage>, job: RunJob, fault: Fault, answered: &mut Answered) -> Result<()> {
    let RunJob { request_id, attempt, function_name, .. } = job;
    let pair = (request_id.clone(), attempt);
    if answered.contains(&pair) && fault != Fault::RunsAgain {
        return Ok(());
    }
    let mut result = pb::JobResult { request_id: request_id.clone(), attempt, ..pb::JobResult::default() };
    if function_name != "echo" {
        result.set_status(pb::JobStatus::Invalid);
        return send(sender, Msg::JobResult(result)).await;
    }
    if fault != Fault::SkipsAcceptance {
        let accepted = pb::JobAccepted { request_id: request_id.clone(), attempt };
        send(sender, Msg::JobAccepted(accepted)).await?;
    }
    if fault == Fault::CountsFromTwo {
        let frame = pb::JobProgress { request_id, attempt, seq: 2, ..pb::JobProgress::default() };
        send(sender, Msg::JobProgress(frame)).await?;
    }
    result.set_status(pb::JobStatus::Ok);
    result.output = Some(Output::Inline(vec![0x80].into()));
    result.metrics = Some(pb::JobMetrics::default());
    answered.push(pair);
    for _ in 0..if fault == Fault::AnswersTwice { 2 } else { 1 } {
        send(sender, Msg::JobResult(result.clone())).await?;
    }
    Ok(())
}

async fn send(sender: &Sender<WorkerMessage>, message: Msg) -> Result<()> {
    sender.send(WorkerMessage { msg: Some(message) }).await.context("the call is closed")
}
