//! `prefetch`: the models of every function of this endpoint, brought to this disk before anybody asks (C-84).

use std::{collections::BTreeMap, path::Path, sync::Arc};

use gen_worker_core::{
    Binding, FetchProgress, ModelSource, NoProgress,
    binding::{BindingError, Provider, hf, modelscope},
    fetch_model,
};
use gen_worker_hub::ModelRef;
use gen_worker_tasks::Cancel;
use serde_json::{Value, json};

use crate::{
    args::PrefetchArgs,
    console::{note, print_line},
    env::Environment,
    exit::{Exit, Failure, Outcome, chain},
    models::{FetchEvents, ModelPlan, Reach},
    run::load,
};

/// Runs the command.
pub(crate) fn run(args: &PrefetchArgs, env: &Environment) -> Outcome {
    if let Some(config) = args.config.as_ref().filter(|config| !config.exists()) {
        return Err(Failure::usage(format!("project {} does not exist", config.display())));
    }
    // Nothing runs here: an endpoint that cannot be loaded is no mistake of the caller (C-11).
    let registry = load().map_err(|failure| Failure::failed(failure.message()))?;
    let functions = registry.functions();
    let bindings = distinct(functions.iter().flat_map(|function| function.slots().values()))?;
    let reach = if args.offline { Reach::Offline } else { Reach::Local };
    let plan = ModelPlan::of(&[], env, reach)?;
    let told = Told { json: args.json };
    told.event(|| json!({"count": bindings.len(), "kind": "prefetch.plan"}))?;
    if bindings.is_empty() {
        told.text("no models to fetch");
        return told.done(0, 0);
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(|error| Failure::failed(format!("could not start the runtime: {error}")))?;
    let outcome = runtime.block_on(fetch_all(&bindings, plan, &told));
    runtime.shutdown_background();
    outcome
}

async fn fetch_all(bindings: &[Binding], plan: ModelPlan, told: &Told) -> Outcome {
    let models = plan.open(bindings, &Cancel::new()).await?;
    let mut failed = 0;
    for binding in bindings {
        failed += usize::from(!fetch(&models, binding, told).await?);
    }
    told.done(bindings.len() - failed, failed)
}

/// Whether it is there now.
async fn fetch(models: &Arc<dyn ModelSource>, binding: &Binding, told: &Told) -> Result<bool, Failure> {
    let (reference, provider) = (binding.wire_ref(), binding.provider().as_str());
    // Nobody reads: then nobody needs to know.
    let events = told.json.then(|| FetchEvents::to(reference.clone(), provider, |line| drop(print_line(line))));
    let progress: &dyn FetchProgress = events.as_ref().map_or(&NoProgress, |events| events);
    match fetch_model(&**models, binding, None, progress).await {
        Ok(model) => {
            events.iter().for_each(|events| events.completed(model.dir()));
            told.ready(&reference, provider, model.dir())?;
            Ok(true)
        }
        Err(error) => {
            let cause = chain(&error);
            let event =
                || json!({"error": cause, "kind": "prefetch.ref.failed", "provider": provider, "ref": reference});
            told.event(event)?;
            told.text(&format!("{reference}: {cause}"));
            Ok(false)
        }
    }
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

/// Each model once: what names the same version of the same repository is one, with the files that any of them wants.
fn distinct<'a>(bindings: impl IntoIterator<Item = &'a Binding>) -> Result<Vec<Binding>, Failure> {
    let mut models: BTreeMap<ModelRef, Binding> = BTreeMap::new();
    for binding in bindings {
        let name = binding.wire_ref();
        let wanted =
            ModelRef::of_binding(binding).map_err(|error| Failure::failed(format!("model {name}: {error}")))?;
        let united = match models.get(&wanted) {
            Some(other) => united(other, binding).map_err(|error| Failure::failed(format!("model {name}: {error}")))?,
            None => binding.clone(),
        };
        models.insert(wanted, united);
    }
    Ok(models.into_values().collect())
}

/// One binding for two of the same model. Without patterns all files are wanted.
fn united(one: &Binding, other: &Binding) -> Result<Binding, BindingError> {
    if one.files() == other.files() {
        return Ok(one.clone());
    }
    let mut files: Vec<String> = match one.files().is_empty() || other.files().is_empty() {
        true => Vec::new(),
        false => one.files().iter().chain(other.files()).cloned().collect(),
    };
    files.sort();
    files.dedup();
    let builder = match one.provider() {
        Provider::HuggingFace => hf(one.reference()),
        Provider::ModelScope => modelscope(one.reference()),
        Provider::Hub | Provider::Civitai => return Ok(one.clone()),
    };
    builder.revision(one.revision()).files(files).build()
}

#[cfg(test)]
mod tests {
    use gen_worker_core::binding::{civitai, hub};

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
        ]
        .map(Result::unwrap);
        let models = distinct(&bindings).unwrap();
        let files = |model: &Binding| model.files().join(" ");
        let named: Vec<_> =
            models.iter().map(|model| (model.wire_ref(), model.version().to_owned(), files(model))).collect();
        let of = |wire: &str, version: &str, files: &str| (wire.to_owned(), version.to_owned(), files.to_owned());
        assert_eq!(
            named,
            [
                of("o/r", "", ""),
                of("o/r#fp8", "", ""),
                of("o/r", "", "unet/ vae/"),
                of("o/s", "", ""),
                of("7", "1", ""),
                of("7", "2", ""),
            ]
        );
    }
}
