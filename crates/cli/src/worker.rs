//! `worker`: serves the jobs of a pool until it is told to stop.
//!
//! The first SIGTERM or SIGINT drains: no new jobs, running ones get their time, results are flushed. A second one
//! ends the process at once.

mod identity;
mod metrics;
mod parent;
mod settings;
mod slots;
mod spans;

use std::{net::SocketAddr, sync::Arc};

use gen_worker_core::{
    HubUploader, Registry, Worker, WorkerOptions,
    gpu::{CudaDriver, GpuProbe as _},
    memory::SystemMemory,
};
use gen_worker_store::UploadOptions;
use gen_worker_tasks::{Cancel, Scope};
use spans::Spans;
use tracing::{info, level_filters::LevelFilter, warn};

use crate::{
    args::WorkerArgs,
    capabilities,
    env::Environment,
    exit::{Exit, Failure, Outcome, chain},
    logging,
    models::{ModelPlan, Reach},
    run::load,
    signals::StopSignals,
};

/// Threads of the blocking pool beyond those of blocking handlers: name lookups and file reads of the runtime.
const SPARE_BLOCKING_THREADS: usize = 8;

/// Runs the command.
pub(crate) fn run(args: &WorkerArgs, env: &Environment) -> Outcome {
    logging::start(&args.log, env, LevelFilter::INFO)?;
    let threads = settings::threads(args, env)?;
    let mut options = settings::options(args, env)?;
    let check = settings::token::check(&options, env)?;
    let metrics = settings::metrics(args, env)?;
    let registry = load()?;
    let driver = Arc::new(CudaDriver::default());
    options.gpus = driver.gpus();
    let report = capabilities::report(&driver, env);
    options.memory = Arc::new(SystemMemory::new(driver));
    options.resources.installed_libs = capabilities::present(&registry, &report, env);
    let (extra_roots, outside) = (options.ca_bundle.clone(), options.inputs.fetch.addresses);
    let files = UploadOptions { extra_roots, outside, ..UploadOptions::default() };
    let hub = Arc::new(HubUploader::new(files, Arc::new(Scope::new("files"))));
    options.uploader = Some(hub.clone());
    options.renewer = Some(hub);
    let models = ModelPlan::of(&args.models, env, Reach::Worker)?;
    if args.exit_with_stdin {
        parent::exit_with_stdin()?;
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(threads)
        .max_blocking_threads(options.limits.threads.saturating_add(SPARE_BLOCKING_THREADS))
        .thread_name("worker")
        .enable_all()
        .build()
        .map_err(|error| Failure::failed(format!("could not start the runtime: {error}")))?;
    let outcome = runtime.block_on(async {
        // Before anything is connected, and before signals are held back.
        if let Some(check) = check {
            settings::token::apply(check, &mut options).await?;
        }
        // The exporter needs the runtime.
        let spans = spans::start(env)?;
        options.observer = spans.as_ref().map(Spans::observer);
        let outcome = serve(options, metrics, registry, models).await;
        if let Some(spans) = spans {
            spans.flush().await;
        }
        outcome
    });
    // A blocking handler that ignored its cancel must not keep the process.
    runtime.shutdown_background();
    outcome
}

async fn serve(options: WorkerOptions, metrics: Option<SocketAddr>, registry: Registry, models: ModelPlan) -> Outcome {
    let mut signals = StopSignals::listen()?;
    let cancel = Cancel::new();
    let functions = registry.functions();
    let declared = functions.iter().flat_map(|function| function.slots().values());
    // Of its own: jobs that drain may still need a download.
    let models = models.open(declared, &Cancel::new()).await?;
    let slots = options.slots.as_ref().map(|slots| slots.counters.clone());
    let worker = Worker::new(options, registry, models);
    // Ends with this function, also when it is left early.
    let scope = Scope::new("page");
    if let Some(address) = metrics {
        let page = metrics::Page { stats: worker.stats(), slots, models: worker.model_cache() };
        metrics::serve(address, page, &scope).await?;
    }
    let mut run = std::pin::pin!(worker.run(cancel.clone()));
    loop {
        tokio::select! {
            biased;
            ended = &mut run => return match ended {
                Ok(_) => Ok(Exit::Success),
                Err(exit) => Err(Failure::new(code(exit.exit_code()), chain(&exit))),
            },
            name = signals.next() => {
                if cancel.is_stopped() {
                    warn!(signal = name, "second signal: exiting now");
                    return Ok(Exit::Interrupted);
                }
                info!(signal = name, "draining");
                cancel.stop();
            }
        }
    }
}

/// The worker's own exit codes.
fn code(code: u8) -> Exit {
    match code {
        0 => Exit::Success,
        70 => Exit::Stuck,
        _ => Exit::Failed,
    }
}
