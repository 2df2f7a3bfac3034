//! What every part of a run shares: the log, the ledger, the network, and who is the orchestrator now.

use std::sync::{Arc, atomic::AtomicUsize};

use gen_worker_orchestrator::{pool::Handle, request::UnixMs};
use tokio::sync::{Barrier, watch};

use crate::{ledger::Ledger, network::Network, outcomes::Outcomes, scenario::Scenario, trace::Trace};

/// Wall time at the start of every run, in milliseconds since the Unix epoch.
const EPOCH_MS: i64 = 1_700_000_000_000;

/// An orchestrator that takes calls.
#[derive(Clone, Debug)]
pub(crate) struct Leader {
    /// How many were started before it.
    pub(crate) generation: u64,
    pub(crate) handle: Handle,
}

/// The run.
pub(crate) struct World {
    pub(crate) trace: Trace,
    pub(crate) ledger: Ledger,
    pub(crate) network: Network,
    pub(crate) outcomes: Outcomes,
    pub(crate) scenario: Scenario,
    pub(crate) together: Arc<Barrier>,
    /// Worker processes that were replaced and have not ended.
    pub(crate) replaced: AtomicUsize,
    leader: watch::Sender<Option<Leader>>,
}

impl World {
    pub(crate) fn new(scenario: Scenario, network: Network, trace: Trace) -> Self {
        let ledger = Ledger::new(trace.clone());
        Self {
            outcomes: Outcomes::new(trace.clone(), ledger.clone()),
            ledger,
            network,
            together: Arc::new(Barrier::new(scenario.permits())),
            scenario,
            replaced: AtomicUsize::new(0),
            leader: watch::Sender::new(None),
            trace,
        }
    }

    /// Virtual milliseconds since the Unix epoch.
    pub(crate) fn wall(&self) -> UnixMs {
        UnixMs(EPOCH_MS.saturating_add_unsigned(self.trace.now_ms()))
    }

    /// The orchestrator, once there is one.
    pub(crate) async fn leader(&self) -> Leader {
        let mut leader = self.leader.subscribe();
        let found = leader.wait_for(Option::is_some).await.expect("the sender is ours");
        found.clone().expect("it is some")
    }

    /// Whether this orchestrator still takes calls.
    pub(crate) fn leads(&self, generation: u64) -> bool {
        self.leader.borrow().as_ref().is_some_and(|leader| leader.generation == generation)
    }

    /// Makes one the orchestrator, or nobody.
    pub(crate) fn appoint(&self, leader: Option<Leader>) {
        self.leader.send_replace(leader);
    }
}
