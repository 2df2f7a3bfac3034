//! What a pool of slots is told. Values only.

use std::{fmt, sync::Arc, time::Duration};

use super::{counters::SlotCounters, launcher::SlotLauncher};

/// Options of everything that runs in slots.
#[derive(Clone)]
pub struct SlotOptions {
    /// How children are started.
    pub launcher: Arc<dyn SlotLauncher>,
    /// Time from the start of a child to its Hello.
    pub start_limit: Duration,
    /// Time that a handler has to end after its cancel or its deadline, before its process is killed.
    pub cancel_grace: Duration,
    /// How often a child that says nothing is asked whether it is there. One that leaves two questions in a row
    /// unanswered is killed.
    pub health_interval: Duration,
    /// Time that a child has to shut its instance down and exit.
    pub shutdown_limit: Duration,
    /// What happened so far.
    pub counters: Arc<SlotCounters>,
}

impl SlotOptions {
    /// The defaults.
    #[must_use]
    pub fn new(launcher: Arc<dyn SlotLauncher>) -> Self {
        Self {
            launcher,
            start_limit: Duration::from_secs(30),
            cancel_grace: Duration::from_secs(5),
            health_interval: Duration::from_secs(15),
            shutdown_limit: Duration::from_secs(8),
            counters: Arc::default(),
        }
    }
}

impl fmt::Debug for SlotOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SlotOptions")
            .field("start_limit", &self.start_limit)
            .field("cancel_grace", &self.cancel_grace)
            .field("health_interval", &self.health_interval)
            .field("shutdown_limit", &self.shutdown_limit)
            .finish_non_exhaustive()
    }
}
