//! A worker under test and the orchestrator it serves.

use std::{sync::Arc, time::Duration};

use gen_worker_core::{
    Address, Ended, LocalModels, ModelSource, RegistryBuilder, Worker, WorkerExit, WorkerOptions,
    model_cache::ModelCache,
};
use gen_worker_tasks::{Cancel, Scope};
use tokio::task::JoinHandle;

use crate::{
    functions::{Probe, registry},
    orchestrator::{Orchestrator, Session},
};

pub struct Fixture {
    pub orchestrator: Orchestrator,
    pub probe: Probe,
    pub cancel: Cancel,
    pub cache: Arc<ModelCache>,
    worker: Option<JoinHandle<Result<Ended, WorkerExit>>>,
    _scope: Scope,
}

impl Fixture {
    pub fn start() -> Self {
        Self::with(|_| {})
    }

    /// A worker whose options `change` adjusted.
    pub fn with(change: impl FnOnce(&mut WorkerOptions)) -> Self {
        let probe = Probe::default();
        let functions = registry(&probe);
        Self::serving(functions, probe, change)
    }

    pub fn serving(functions: RegistryBuilder, probe: Probe, change: impl FnOnce(&mut WorkerOptions)) -> Self {
        Self::with_models(functions, probe, Arc::new(LocalModels::new()), change)
    }

    /// A worker that gets its models from `models`.
    pub fn with_models(
        functions: RegistryBuilder,
        probe: Probe,
        models: Arc<dyn ModelSource>,
        change: impl FnOnce(&mut WorkerOptions),
    ) -> Self {
        let orchestrator = Orchestrator::start();
        let mut options = WorkerOptions::new(Address::parse("grpc://leader:1", false).expect("an address"));
        options.dial = orchestrator.dial.clone();
        options.worker_id = "w1".into();
        change(&mut options);
        let functions = functions.build().expect("the registry is sound");
        let worker = Worker::new(options, functions, models);
        let cache = worker.model_cache();
        let (scope, cancel) = (Scope::new("test"), Cancel::new());
        let worker = scope.spawn_bare(worker.run(cancel.clone()));
        Self { orchestrator, probe, cancel, cache, worker: Some(worker), _scope: scope }
    }

    /// Connects, and reads until the worker started.
    pub async fn session(&mut self) -> Session {
        let (mut session, _) = self.orchestrator.connect().await;
        session.ready().await;
        session
    }

    /// How the worker ended.
    pub async fn ended(&mut self) -> Result<Ended, WorkerExit> {
        let worker = self.worker.take().expect("asked once");
        tokio::time::timeout(Duration::from_secs(7200), worker).await.expect("it ends").expect("it does not panic")
    }

    pub async fn exit_code(&mut self) -> u8 {
        self.ended().await.expect_err("it gives up").exit_code()
    }

    pub fn is_running(&self) -> bool {
        self.worker.as_ref().is_some_and(|worker| !worker.is_finished())
    }
}
