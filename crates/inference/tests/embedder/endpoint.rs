//! An endpoint as a worker runs it: the model arrives loaded as its binding says, and a request's adapters with the request.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::Arc;

use gen_worker_core::binding::hub;
use gen_worker_core::context::{ContextParts, Lora};
use gen_worker_core::endpoint::{
    EndpointDecl, HandlerDecl, InstanceValue, LifecycleDecl, OutputShape, SetupParameter, Work,
};
use gen_worker_core::function::Call;
use gen_worker_core::io_type::{Output, Payload};
use gen_worker_core::{FailureClass, Invocation, LocalModels, ModelSource, Registry, RequestContext, Result, codec};
use gen_worker_inference::{Backend, BackendReason, EmbedError, SentenceEmbedder};
use gen_worker_proto::{FunctionName, Pair};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::adapters::{adapter, lora, on_disk};
use crate::tiny_model::TinyModel;

#[derive(Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
struct Texts {
    texts: Vec<String>,
}

#[derive(Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
struct Vectors {
    values: Vec<f32>,
    backend: String,
}

impl Payload for Texts {}
impl Output for Vectors {}

fn embed(call: &Call) -> Result<Invocation> {
    let (model, payload) = (call.borrow_instance::<SentenceEmbedder>()?, call.decode::<Texts>()?);
    let context = call.context.clone();
    Ok(Invocation::Blocking(Box::new(move || {
        let adapters = context.loras().get("model").map(Vec::as_slice).unwrap_or_default();
        let embedded = model.embed_adapted(&payload.texts, adapters, &|| context.is_cancelled());
        let embedded = embedded.map_err(EmbedError::into_worker_error)?;
        codec::encode(&Vectors { values: embedded.values().to_vec(), backend: format!("{:?}", model.backend()) })
    })))
}

fn registry(storage: &str) -> Registry {
    let lifecycle = LifecycleDecl {
        parameters: vec![SetupParameter::Slot("model")],
        declared_setup: true,
        setup: Arc::new(|slots| {
            Work::Blocking(Box::new(move || {
                Ok(Arc::new(slots.load_blocking::<SentenceEmbedder>("model")?) as InstanceValue)
            }))
        }),
        warmup: None,
        shutdown: None,
    };
    let mut endpoint = EndpointDecl::of_type("embedder", "Embedder", lifecycle);
    endpoint.slots.named.push(("model", hub("o/tiny").storage_dtype(storage).allow_lora().build()));
    endpoint.handlers.push(HandlerDecl {
        method: "embed",
        name: None,
        payload: <Texts as Payload>::type_decl(),
        output: <Vectors as Output>::type_decl(),
        shape: OutputShape::Single,
        blocking: true,
        slots: Vec::new(),
        call: Arc::new(|call| embed(&call)),
    });
    Registry::builder().endpoint(endpoint).build().unwrap()
}

/// What the function gives for one text with these adapters.
async fn run(registry: &Registry, dir: &Path, loras: Vec<Lora>) -> Result<Vectors> {
    let function = registry.get("embed").unwrap();
    let source: Arc<dyn ModelSource> = Arc::new(LocalModels::new().with("o/tiny", dir));
    let instance = function.instance().unwrap().get(&source, &HashMap::new()).await?;
    let parts = ContextParts::new(Pair::parse("r1", 1).unwrap(), FunctionName::parse("embed").unwrap());
    let context = RequestContext::new(ContextParts { loras: BTreeMap::from([("model".to_owned(), loras)]), ..parts });
    let Invocation::Blocking(work) = function.invoke_local(context, &json!({"texts": ["w1 w2"]}), Some(instance))?
    else {
        panic!("it computes");
    };
    Ok(rmp_serde::from_slice(&work()?).unwrap())
}

#[tokio::test]
async fn m9_lora_adapters_of_a_request_are_laid_over_the_model_of_its_instance() {
    let model = TinyModel::default();
    let (base, files, registry) = (model.write(), tempfile::tempdir().unwrap(), registry(""));
    let file = on_disk(files.path(), "a", &adapter(&model, 1));
    let plain = run(&registry, base.path(), vec![]).await.unwrap();
    let adapted = run(&registry, base.path(), vec![lora("a", 1.0, &file)]).await.unwrap();
    assert_ne!(adapted, plain);
    assert_eq!(run(&registry, base.path(), vec![]).await.unwrap(), plain, "active in the request that names it");
    let turned = run(&registry, base.path(), vec![lora("a", -1.0, &file)]).await.unwrap();
    assert!(turned != plain && turned != adapted);
    let other = TinyModel { head_size: 4, ..TinyModel::default() };
    let misfit = on_disk(files.path(), "b", &adapter(&other, 1));
    let error = run(&registry, base.path(), vec![lora("b", 1.0, &misfit)]).await.unwrap_err();
    assert_eq!(error.class(), FailureClass::Invalid, "{error}");
}

#[tokio::test]
async fn m10_7_a_binding_that_asks_for_8_bits_gets_them() {
    let base = TinyModel::default().write();
    let narrow = run(&registry("fp8"), base.path(), vec![]).await.unwrap();
    assert_eq!(narrow.backend, format!("{:?}", (Backend::Candle, BackendReason::NarrowWeights)));
    let full = run(&registry(""), base.path(), vec![]).await.unwrap();
    assert_ne!((narrow.backend, narrow.values), (full.backend, full.values));
}
