//! `gen-worker models`: the models on this machine, brought, looked at, kept and let go by hand.
//!
//! ```text
//! list, du ──> what is there          pull ──> hub or provider ──> store
//! verify ────> all bytes again        pin, unpin, gc ──> what stays, what leaves
//! ```
//! Workers may use the store meanwhile: what they use does not leave.

mod args;
mod kept;
mod progress;
mod pull;
mod report;
mod verify;

pub(crate) use args::ModelsArgs;
use args::ModelsCommand;

use std::time::Duration;

use gen_worker_core::StoreModels;
use gen_worker_tasks::Cancel;

use self::progress::Shown;
use super::{Reach, StoreSettings};
use crate::{
    env::Environment,
    exit::{Failure, Outcome, chain},
    logging,
};

/// How long what still runs may take to end; nothing does but what was given up.
const CLOSE_LIMIT: Duration = Duration::from_secs(5);

/// Runs the command.
pub(crate) fn run(args: ModelsArgs, env: &Environment) -> Outcome {
    let ModelsArgs { store, command } = args;
    let shown = Shown::new(matches!(&command, ModelsCommand::Pull(pull) if pull.json));
    let stderr = shown.stderr();
    logging::start_warnings(env, move || stderr.clone())?;
    let offline = matches!(&command, ModelsCommand::Pull(pull) if pull.offline);
    let reach = if offline { Reach::Offline } else { Reach::Local };
    let settings = StoreSettings::of(env, reach)?.at(store);
    let wishes = match &command {
        ModelsCommand::Pull(args) => pull::wishes(args)?,
        _ => Vec::new(),
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(|error| Failure::failed(format!("could not start the runtime: {error}")))?;
    let outcome = runtime.block_on(async {
        let at_once = settings.downloads();
        // Nothing is declared here: whoever types a ref chose it.
        let options = settings.options(Default::default())?;
        let models = StoreModels::open(options, &Cancel::new()).await.map_err(|error| failed(&error))?;
        let store = models.store();
        let outcome = match command {
            ModelsCommand::List(args) => report::list(store, args.json).await,
            ModelsCommand::Du(args) => report::usage(store, args.json).await,
            ModelsCommand::Pull(args) => pull::run(&models, wishes, at_once, &shown, args.json).await,
            ModelsCommand::Verify(args) => verify::run(store, args).await,
            ModelsCommand::Pin(args) => kept::pin(store, &args.refs, true).await,
            ModelsCommand::Unpin(args) => kept::pin(store, &args.refs, false).await,
            ModelsCommand::Gc(args) => kept::collect(store, args).await,
        };
        store.close(CLOSE_LIMIT).await;
        outcome
    });
    runtime.shutdown_background();
    outcome
}

/// The store does not work.
fn failed(error: &gen_worker_store::FetchError) -> Failure {
    Failure::failed(chain(error))
}
