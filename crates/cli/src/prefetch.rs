//! `prefetch`: the models of every function of this endpoint, brought to this disk before anybody asks (C-84).

use std::{collections::BTreeMap, path::Path, sync::Arc};

use gen_worker_core::{Binding, FetchProgress, ModelSource, NoProgress, fetch_model};
use gen_worker_hub::ModelRef;
use gen_worker_store::ModelRequest;
use gen_worker_tasks::Cancel;
use serde_json::{Value, json};

use crate::{
    args::PrefetchArgs,
    console::{note, print_line},
    env::Environment,
    exit::{Exit, Failure, Outcome, chain},
    logging,
    models::{FetchEvents, ModelPlan, Reach},
    run::load,
};

/// Runs the command.
pub(crate) fn run(args: &PrefetchArgs, env: &Environment) -> Outcome {
    if let Some(config) = args.config.as_ref().filter(|config| !config.exists()) {
        return Err(Failure::usage(format!("project {} does not exist", config.display())));
    }
    logging::start_warnings(env, std::io::stderr)?;
    // Nothing runs here: an endpoint that cannot be loaded is no mistake of the caller (C-11).
    let registry = load().map_err(|failure| Failure::failed(failure.message()))?;
    let functions = registry.functions();
    let models = distinct(functions.iter().flat_map(|function| function.slots().values()))?;
    let reach = if args.offline { Reach::Offline } else { Reach::Local };
    let plan = ModelPlan::of(&[], env, reach)?;
    let told = Told { json: args.json };
    told.event(|| json!({"count": models.len(), "kind": "prefetch.plan"}))?;
    if models.is_empty() {
        told.text("no models to fetch");
        return told.done(0, 0);
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(|error| Failure::failed(format!("could not start the runtime: {error}")))?;
    let outcome = runtime.block_on(fetch_all(&models, plan, &told));
    runtime.shutdown_background();
    outcome
}

async fn fetch_all(wanted: &[Vec<Binding>], plan: ModelPlan, told: &Told) -> Outcome {
    let models = plan.open(wanted.iter().flatten(), &Cancel::new()).await?;
    let mut failed = 0;
    for bindings in wanted {
        failed += usize::from(!fetch(&models, bindings, told).await?);
    }
    told.done(wanted.len() - failed, failed)
}

/// Whether all that these bindings want of one model is there now.
async fn fetch(models: &Arc<dyn ModelSource>, bindings: &[Binding], told: &Told) -> Result<bool, Failure> {
    let mut ready = None;
    for binding in bindings {
        let (reference, provider) = (binding.wire_ref(), binding.provider().as_str());
        // Nobody reads: then nobody needs to know.
        let events = told.json.then(|| FetchEvents::to(reference.clone(), provider, |line| drop(print_line(line))));
        let progress: &dyn FetchProgress = events.as_ref().map_or(&NoProgress, |events| events);
        match fetch_model(&**models, binding, None, progress).await {
            Ok(model) => {
                events.iter().for_each(|events| events.completed(model.dir()));
                ready = Some((reference, provider, model));
            }
            Err(error) => {
                let cause = chain(&error);
                let event =
                    || json!({"error": cause, "kind": "prefetch.ref.failed", "provider": provider, "ref": reference});
                told.event(event)?;
                told.text(&format!("{reference}: {cause}"));
                return Ok(false);
            }
        }
    }
    if let Some((reference, provider, model)) = ready {
        told.ready(&reference, provider, model.dir())?;
    }
    Ok(true)
}

/// What is heard of it: events on stdout, or text on stderr.
struct Told {
    json: bool,
}

impl Told {
    fn event(&self, event: impl FnOnce() -> Value) -> Result<(), Failure> {
        if self.json { print_line(&event().to_string()) } else { Ok(()) }
    }

    fn text(&self, text: &str) {
        if !self.json {
            note(&format!("gen-worker prefetch: {text}"));
        }
    }

    fn ready(&self, reference: &str, provider: &str, dir: &Path) -> Result<(), Failure> {
        self.text(&format!("{reference} is at {}", dir.display()));
        self.event(|| json!({"kind": "prefetch.ref.ready", "local": dir, "provider": provider, "ref": reference}))
    }

    fn done(&self, fetched: usize, failed: usize) -> Outcome {
        self.event(|| json!({"failed": failed, "fetched": fetched, "kind": "prefetch.done"}))?;
        match failed {
            0 => Ok(Exit::Success),
            _ => Err(Failure::model(format!("{failed} of {} models are not here", fetched + failed))),
        }
    }
}

/// Each model once: what names the same version of the same repository is one. Of its bindings those that want other files: each is
/// asked for by itself, since what it brings is what it finds when there is no network, and what others have brought does not come
/// again.
fn distinct<'a>(bindings: impl IntoIterator<Item = &'a Binding>) -> Result<Vec<Vec<Binding>>, Failure> {
    let mut models: BTreeMap<(ModelRef, bool), Vec<Binding>> = BTreeMap::new();
    for binding in bindings {
        let name = binding.wire_ref();
        let request =
            ModelRequest::of_binding(binding).map_err(|error| Failure::failed(format!("model {name}: {error}")))?;
        let known = models.entry((request.reference().clone(), request.is_newest())).or_default();
        if !known.iter().any(|other| other.files() == binding.files()) {
            known.push(binding.clone());
        }
    }
    Ok(models.into_values().collect())
}

#[cfg(test)]
mod tests {
    use gen_worker_core::binding::{civitai, hf, hub};

    use super::*;

    #[test]
    fn c84_m3_11_each_model_once_with_all_the_files_that_anybody_wants() {
        let bindings = [
            hub("o/r").build(),
            hub("o/r").tag("prod").allow_lora().build(),
            hub("o/r").flavor("fp8").build(),
            hf("o/r").files(["unet/"]).build(),
            hf("o/r").files(["vae/", "unet/"]).dtype("bf16").build(),
            hf("o/s").files(["unet/"]).build(),
            hf("o/s").build(),
            civitai(7).version(1).build(),
            civitai(7).version(2).build(),
            civitai(7).version(7).build(),
            civitai(7).build(),
        ]
        .map(Result::unwrap);
        let models = distinct(&bindings).unwrap();
        let files =
            |model: &Vec<Binding>| model.iter().map(|binding| binding.files().join(" ")).collect::<Vec<_>>().join(", ");
        let named: Vec<_> =
            models.iter().map(|model| (model[0].wire_ref(), model[0].version().to_owned(), files(model))).collect();
        let of = |wire: &str, version: &str, files: &str| (wire.to_owned(), version.to_owned(), files.to_owned());
        assert_eq!(
            named,
            [
                of("o/r", "", ""),
                of("o/r#fp8", "", ""),
                of("o/r", "", "unet/, vae/ unet/"),
                of("o/s", "", "unet/, "),
                of("7", "1", ""),
                of("7", "2", ""),
                of("7", "7", ""),
                of("7", "", ""),
            ]
        );
    }

    #[test]
    fn c84_m3_11_an_endpoint_that_cannot_be_loaded_is_exit_1_and_a_project_that_is_not_there_exit_2() {
        // No function is linked into this program.
        let exit = |config: Option<&str>| {
            let args = PrefetchArgs { config: config.map(Into::into), offline: true, json: false };
            run(&args, &Environment::of_pairs(&[])).err().map(|failure| failure.exit().code())
        };
        assert_eq!((exit(None), exit(Some("no-such-project"))), (Some(1), Some(2)));
    }
}
