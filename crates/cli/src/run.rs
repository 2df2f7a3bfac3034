//! `run`: one function, once, in this process.
//!
//! Order of effects: listing; payload text; endpoint and selection; words; decode; files; models; setup and warm-up; handler;
//! shutdown. So an invalid payload ends before any model is touched.

mod events;
mod handler;
mod target;

use std::{collections::HashMap, path::PathBuf, sync::Arc, time::Duration};

use gen_worker_core::{
    CancelFlag, ContextParts, Function, Inputs, InputsOptions, Instance, LocalFiles, ModelSource, Registry,
    RequestContext, WorkerError,
    scratch::{Scratch, ScratchRoot},
};
use gen_worker_proto::Pair;
use gen_worker_tasks::{Cancel, Scope};
use serde_json::{Value, json};
use tokio::signal::unix::{Signal, SignalKind, signal};

use self::{
    events::StderrEvents,
    handler::{ExitNow, Run},
    target::Target,
};
use crate::{
    args::{DescribeArgs, EndpointArgs, RunArgs},
    console::{note, print_document},
    describe::{self, Detected},
    env::{Environment, names},
    exit::{Exit, Failure, Outcome, chain},
    inputs, logging,
    models::{FetchEvents, KeptModels, ModelPlan, Reach},
    payload,
    select::{Candidate, Wanted, select},
    tokens::{Fields, Tokens},
};

/// Threads of the runtime: one polls the handler, one stays free for what it spawns.
const THREADS: usize = 2;

/// How long an instance gets to shut down before the process ends anyway.
const SHUTDOWN_LIMIT: Duration = Duration::from_secs(10);

/// Owner that handlers see when the user has no name.
const DEFAULT_OWNER: &str = "local-dev";

/// Prints the description document.
pub(crate) fn describe(args: &DescribeArgs, env: &Environment, main: &str) -> Outcome {
    check_endpoint(&args.endpoint, main)?;
    list(env, main, args.pretty)
}

/// Runs the command. `main` is the name of the endpoint binary.
pub(crate) fn run(args: &RunArgs, env: &Environment, main: &str) -> Outcome {
    check_endpoint(&args.endpoint, main)?;
    if args.list {
        return list(env, main, args.pretty);
    }
    logging::start_warnings(env, std::io::stderr)?;
    let base = payload::base(args.payload.as_deref(), args.payload_file.as_deref())?;
    let registry = load()?;
    let function = choose(&registry, args, main)?;
    let fields = Fields::from_schema(&(function.payload().schema)());
    let merged = Tokens { fields: fields.as_ref() }.apply(base, &args.tokens);
    let payload = without_models(merged.map_err(|error| Failure::usage(error.to_string()))?);
    let target = Target::choose(args, env)?;
    let reach = if args.offline { Reach::Offline } else { Reach::Local };
    let models = ModelPlan::of(&args.models, env, reach)?;
    let files = JobFiles { inputs: inputs::options(env, None)?, dir: inputs::jobs_dir(env) };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(THREADS)
        .enable_all()
        .build()
        .map_err(|error| Failure::failed(format!("could not start the runtime: {error}")))?;
    let outcome = runtime.block_on(execute(&function, payload, target, models, files, args.pretty));
    // A handler that ignores its cancel must not keep the process.
    runtime.shutdown_background();
    outcome
}

/// Every endpoint linked into this binary.
///
/// # Errors
/// Everything that is wrong with any of them, or that there is none.
pub(crate) fn load() -> Result<Registry, Failure> {
    let registry = Registry::collect().map_err(|errors| Failure::usage(errors.to_string()))?;
    if registry.is_empty() { Err(Failure::usage("this endpoint has no functions")) } else { Ok(registry) }
}

fn list(env: &Environment, main: &str, pretty: bool) -> Outcome {
    let registry = load()?;
    let detected = Detected::here(&registry, env)?;
    print_document(&describe::document(&registry, main, &detected), pretty)?;
    Ok(Exit::Success)
}

/// The binary has been picked already; flags that name another one are a mistake.
fn check_endpoint(args: &EndpointArgs, main: &str) -> Result<(), Failure> {
    if let Some(config) = args.config.as_ref().filter(|config| !config.exists()) {
        return Err(Failure::usage(format!("project {} does not exist", config.display())));
    }
    match &args.module {
        Some(module) if module != main => {
            Err(Failure::usage(format!("this is endpoint binary `{main}`; use `gen-worker run --module {module}`")))
        }
        _ => Ok(()),
    }
}

fn choose(registry: &Registry, args: &RunArgs, main: &str) -> Result<Arc<Function>, Failure> {
    let functions = registry.functions();
    let candidates: Vec<Candidate<'_>> = functions
        .iter()
        .map(|function| Candidate {
            slug: function.name().as_str(),
            class: function.type_name(),
            method: function.type_name().map(|_| function.method()),
        })
        .collect();
    let wanted = Wanted { class: args.class.as_deref(), method: args.method.as_deref(), main };
    let index = select(&candidates, wanted).map_err(|error| Failure::usage(error.to_string()))?;
    functions.get(index).cloned().ok_or_else(|| Failure::usage("no endpoint function matches"))
}

/// Bindings inside a payload mean nothing here: they are taken out and reported.
fn without_models(mut payload: Value) -> Value {
    if let Some(models) = payload.as_object_mut().and_then(|object| object.remove("_models")) {
        let slots: Vec<&String> = models.as_object().into_iter().flat_map(|models| models.keys()).collect();
        note(&json!({"kind": "models_override.ignored", "slots": slots}).to_string());
    }
    payload
}

/// Where the files of the request come from, and where they are kept.
struct JobFiles {
    inputs: InputsOptions,
    dir: PathBuf,
}

async fn execute(
    function: &Function,
    payload: Value,
    target: Target,
    models: ModelPlan,
    files: JobFiles,
    pretty: bool,
) -> Outcome {
    let mut interrupts = signal(SignalKind::interrupt())
        .map_err(|error| Failure::failed(format!("could not listen for Ctrl-C: {error}")))?;
    let cancel = CancelFlag::new();
    let scope = Arc::new(Scope::new("files"));
    let root = ScratchRoot::open(&files.dir, scope.clone());
    let root = root.map_err(|error| note(&format!("gen-worker run: no directory for files: {error}"))).ok();
    let scratch = root.as_ref().map_or_else(Scratch::nowhere, ScratchRoot::scratch);
    let context = context(function, target, cancel.clone(), scratch.clone())?;
    // Decoded for its verdict only: what runs decodes again, with the instance in its hands.
    function.check_local(context.clone(), &payload).map_err(|error| invalid(&error))?;
    let inputs = Inputs::new(files.inputs, scope);
    let payload = tokio::select! {
        biased;
        () = pressed(&mut interrupts) => return Ok(Exit::Interrupted),
        payload = inputs.bring_local(function, &payload, &scratch) => {
            payload.map_err(|error| Failure::failed(format!("input file: {}: {}", error.kind(), chain(&error))))?
        }
    };
    let instance = tokio::select! {
        biased;
        () = pressed(&mut interrupts) => return Ok(Exit::Interrupted),
        instance = prepare(function, models) => instance?,
    };
    let outcome = match function.invoke_local(context, &payload, instance) {
        Ok(invocation) => match (Run { pretty, cancel, interrupts: &mut interrupts }).invocation(invocation).await {
            Ok(outcome) => outcome,
            // Asked for twice: nothing is waited for any more.
            Err(ExitNow) => return Ok(Exit::Interrupted),
        },
        Err(error) => Err(invalid(&error)),
    };
    if let Some(cell) = function.instance() {
        tokio::select! {
            biased;
            () = pressed(&mut interrupts) => return Ok(Exit::Interrupted),
            closed = tokio::time::timeout(SHUTDOWN_LIMIT, cell.shutdown()) => if closed.is_err() {
                note("gen-worker run: shutdown is still running after 10 s; exiting without it");
            },
        }
    }
    outcome
}

fn context(
    function: &Function,
    target: Target,
    cancel: CancelFlag,
    scratch: Scratch,
) -> Result<RequestContext, Failure> {
    let random = uuid::Uuid::new_v4().simple().to_string();
    let id = format!("local-{}", random.get(..8).unwrap_or(&random));
    let pair = Pair::parse(id.as_str(), 1).map_err(|error| Failure::failed(error.to_string()))?;
    let models = function.slots().iter().map(|(slot, binding)| (slot.clone(), binding.wire_ref())).collect();
    Ok(RequestContext::new(ContextParts {
        tenant: target.owner,
        models,
        device: target.device,
        cancel,
        scratch,
        events: Arc::new(StderrEvents::of(id)),
        saver: Arc::new(LocalFiles::new(target.outputs, Arc::new(Scope::new("files")))),
        ..ContextParts::new(pair, function.name().clone())
    }))
}

/// Resolves the models first, so that a missing one has its own exit code, and sets the instance up.
async fn prepare(function: &Function, models: ModelPlan) -> Result<Option<Instance>, Failure> {
    let Some(cell) = function.instance() else { return Ok(None) };
    // What the store does for this command ends with the process.
    let models = models.open(function.slots().values(), &Cancel::new()).await?;
    let models: Arc<dyn ModelSource> = Arc::new(KeptModels::of(models));
    for binding in function.slots().values() {
        let events = FetchEvents::on_stderr(binding);
        let model = models.fetch(binding, None, &events).await.map_err(|error| Failure::model(chain(&error)))?;
        events.completed(model.dir());
    }
    let instance = cell.get(&models, &HashMap::new()).await;
    instance.map(Some).map_err(|error| match error.unavailable_model() {
        Some(_) => Failure::model(chain(&error)),
        None => Failure::failed(format!("setup failed: {}: {}", error.kind(), chain(&error))),
    })
}

fn invalid(error: &WorkerError) -> Failure {
    if error.is_decode() {
        Failure::usage(format!("payload validation failed: {error}"))
    } else {
        Failure::failed(format!("handler failed: {}: {}", error.kind(), chain(error)))
    }
}

/// Completes at the next Ctrl-C.
async fn pressed(interrupts: &mut Signal) {
    if interrupts.recv().await.is_none() {
        std::future::pending::<()>().await;
    }
}

/// The name of the user, as owner of a local request.
fn owner(env: &Environment) -> Result<String, Failure> {
    Ok(env.text(&names::USER)?.unwrap_or(DEFAULT_OWNER).to_owned())
}
