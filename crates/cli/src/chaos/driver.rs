//! The world of a run: the scripted scheduler, the worker process, the connection between them. It does what rounds ask
//! for and tells the ledger of everything.

mod jobs;
mod link;

use std::{
    collections::{BTreeMap, HashMap},
    time::Duration,
};

use gen_worker_proto::pb;
use rustix::process::Signal;
use tokio::time::{Instant, timeout};

use super::{
    dice::Dice,
    fault::Fault,
    findings::Place,
    ledger::{Expect, Key, Ledger},
    plan::Plan,
    process::Worker,
    server::Server,
    session::{Received, Session},
};
use crate::exit::Failure;

/// Bounds of the time of a typical job, within which faults strike. Below it they would all strike before the handler
/// starts; above it rounds would wait for nothing.
const PACE: (Duration, Duration) = (Duration::from_millis(2), Duration::from_secs(2));

/// How waiting ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pumped {
    /// What was waited for has come.
    Done,
    /// It did not come in time.
    Late,
    /// The connection is gone.
    Lost,
}

/// What a run leaves behind.
pub(super) struct Finished {
    pub(super) ledger: Ledger,
    /// Rounds by fault.
    pub(super) faults: BTreeMap<Fault, u32>,
    /// Jobs sent, repeats not counted.
    pub(super) jobs: u64,
    /// Processes started.
    pub(super) processes: u32,
    /// Connections made.
    pub(super) connections: u32,
}

pub(super) struct Driver<'a> {
    pub(super) plan: &'a Plan,
    server: Server,
    pub(super) worker: Worker,
    pub(super) session: Option<Session>,
    pub(super) ledger: Ledger,
    pub(super) dice: Dice,
    /// Time of a typical job.
    pub(super) pace: Duration,
    /// Tells the ids of this run from those of any other, also in a spool of the worker.
    run_id: String,
    worker_id: String,
    /// What was sent in this round, to send it again.
    sent: HashMap<Key, (pb::RunJob, Expect)>,
    faults: BTreeMap<Fault, u32>,
    jobs: u64,
    processes: u32,
    connections: u32,
    /// The process that the last connection was of.
    reconciled_process: u32,
}

impl<'a> Driver<'a> {
    /// Starts the worker, and learns how long its jobs take.
    pub(super) async fn start(plan: &'a Plan) -> Result<Self, Failure> {
        let server = Server::start().await?;
        let random = uuid::Uuid::new_v4().simple().to_string();
        let run_id = random.get(..8).unwrap_or(&random).to_owned();
        let worker_id = format!("chaos-{run_id}");
        let worker = Worker::start(plan, &worker_id, server.address())?;
        let mut driver = Self {
            plan,
            server,
            worker,
            session: None,
            ledger: Ledger::new(Place { fault: "warm-up", round: 0, seed: plan.seed }),
            dice: Dice::new(plan.seed),
            pace: PACE.0,
            run_id,
            worker_id,
            sent: HashMap::new(),
            faults: BTreeMap::new(),
            jobs: 0,
            processes: 1,
            connections: 0,
            reconciled_process: 1,
        };
        driver.reconnect().await?;
        driver.wait_ready().await?;
        driver.pace = driver.typical_job().await?.clamp(PACE.0, PACE.1);
        Ok(driver)
    }

    /// Runs one round; gives a line about it.
    pub(super) async fn round(&mut self, index: u32) -> Result<String, Failure> {
        let started = Instant::now();
        let seed = self.plan.seed.wrapping_add(u64::from(index));
        let fault = Fault::of_seed(seed);
        self.dice = Dice::new(seed);
        self.ledger.findings.enter(Place { fault: fault.name(), round: index, seed });
        *self.faults.entry(fault).or_default() += 1;
        let (jobs, violations) = (self.jobs, self.ledger.findings.count());
        self.strike(fault).await?;
        self.settle().await?;
        // What the round still made the worker say comes before the answer to this.
        self.barrier().await;
        self.sent.clear();
        Ok(format!(
            "round {index}, seed {seed}: {}, {} jobs, {} violations, {} ms",
            fault.name(),
            self.jobs - jobs,
            self.ledger.findings.count() - violations,
            started.elapsed().as_millis()
        ))
    }

    /// Ends the worker.
    pub(super) async fn finish(mut self) -> Finished {
        self.worker.kill().await;
        Finished {
            ledger: self.ledger,
            faults: self.faults,
            jobs: self.jobs,
            processes: self.processes,
            connections: self.connections,
        }
    }

    /// Reads messages until `done`, at most until `deadline`.
    pub(super) async fn pump(&mut self, deadline: Instant, done: impl Fn(&Ledger) -> bool) -> Pumped {
        loop {
            if done(&self.ledger) {
                return Pumped::Done;
            }
            let Some(session) = &mut self.session else { return Pumped::Lost };
            match session.receive(deadline).await {
                Received::Message(message) => self.ledger.message(*message, Instant::now().into_std()),
                Received::Nothing => return Pumped::Late,
                Received::Ended | Received::Broken => {
                    self.session = None;
                    return Pumped::Lost;
                }
            }
        }
    }

    /// Lets a random part of a job's time pass.
    pub(super) async fn a_moment(&mut self) -> Pumped {
        let until = Instant::now() + self.dice.moment(self.pace);
        self.pump(until, |_| false).await
    }

    /// When patience ends.
    pub(super) fn limit(&self) -> Instant {
        Instant::now() + self.plan.patience
    }

    /// Ends the process for good and starts one with the same worker id.
    pub(super) async fn restart(&mut self) -> Result<(), Failure> {
        self.worker.kill().await;
        // What it had written arrives before the end of its connection.
        let limit = self.limit();
        self.pump(limit, |_| false).await;
        self.session = None;
        self.server.forget_calls();
        self.worker = Worker::start(self.plan, &self.worker_id, self.server.address())?;
        self.processes += 1;
        Ok(())
    }

    /// Waits for the process to end by itself: its exit code, or none when a signal ended it or it did not end.
    pub(super) async fn exit_code(&mut self) -> Option<i32> {
        timeout(self.plan.patience, self.worker.ended()).await.ok().flatten()
    }

    /// Sends a signal to the worker.
    pub(super) fn signal(&self, signal: Signal) {
        self.worker.signal(signal);
    }
}
