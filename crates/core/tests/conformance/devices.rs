//! Where models are and where handlers work: on one accelerator, whoever chose it and wherever the instance lives.

use std::sync::Arc;

use futures::FutureExt as _;
use gen_worker_core::{
    Invocation, Registry, RegistryBuilder, Result, SlotOptions, codec,
    context::Device,
    endpoint::{
        EndpointDecl, HandlerDecl, InstanceValue, Isolation, LifecycleDecl, OutputShape, ResourcesDecl, SetupParameter,
        Work,
    },
    function::Call,
    gpu::Gpu,
    io_type::{Output, Payload},
    slot::InMemorySlots,
};
use gen_worker_proto::pb::{self, JobResult, JobStatus, job_result};

use crate::{
    fixture::Fixture,
    functions::{Probe, Text, text},
    metrics::Cards,
    orchestrator::Session,
};

/// A type that needs an accelerator, whose handler says where its models are and where its inputs go.
fn endpoint(name: &'static str) -> EndpointDecl {
    let lifecycle = LifecycleDecl {
        parameters: vec![SetupParameter::All],
        declared_setup: true,
        setup: Arc::new(|slots| {
            let device = slots.device();
            Work::Async(async move { Ok(Arc::new(device) as InstanceValue) }.boxed())
        }),
        warmup: None,
        shutdown: None,
    };
    let mut endpoint = EndpointDecl::of_type("conformance", name, lifecycle);
    endpoint.resources = ResourcesDecl { gpu: true, ..Default::default() };
    endpoint.handlers.push(HandlerDecl {
        method: name,
        name: None,
        payload: <Text as Payload>::type_decl(),
        output: <Text as Output>::type_decl(),
        shape: OutputShape::Single,
        blocking: false,
        slots: Vec::new(),
        call: Arc::new(tell),
    });
    endpoint
}

fn tell(call: Call) -> Result<Invocation> {
    let (models, inputs) = (*call.borrow_instance::<Device>()?, call.context.device());
    Ok(Invocation::Async(async move { codec::encode(&Text { text: format!("{models:?} {inputs:?}") }) }.boxed()))
}

fn functions() -> RegistryBuilder {
    Registry::builder().endpoint(endpoint("own")).endpoint(endpoint("child")).isolation(Isolation::Process)
}

fn fixture(cards: &Cards) -> Fixture {
    let slots = InMemorySlots::new(|| functions().build().expect("sound")).with_memory(Arc::new(cards.clone()));
    let (options, memory) = (SlotOptions::new(Arc::new(slots)), cards.clone());
    Fixture::serving(functions(), Probe::default(), move |worker| {
        let card = Gpu { name: "L4".into(), capability: (8, 9), total_bytes: 24 << 30 };
        worker.gpus = vec![card.clone(), card];
        worker.memory = Arc::new(memory);
        worker.slots = Some(options);
    })
}

async fn run(session: &mut Session, id: &str, function: &str, device: Option<i32>) -> (String, JobResult) {
    let compute = device.map(|gpu_index| pb::ResolvedCompute {
        accelerator: "cuda".into(),
        gpu_index,
        gpu_count: 1,
        ..Default::default()
    });
    session
        .run_job(pb::RunJob {
            request_id: id.into(),
            attempt: 1,
            function_name: function.into(),
            input_payload: text("where").into(),
            compute,
            ..Default::default()
        })
        .await;
    let result = session.result().await;
    assert_eq!(result.status(), JobStatus::Ok, "{}", result.safe_message);
    let Some(job_result::Output::Inline(output)) = &result.output else { panic!("inline") };
    let told: Text = rmp_serde::from_slice(output).expect("a text");
    (told.text, result)
}

#[tokio::test(start_paused = true)]
async fn w12_5_without_a_grant_inputs_go_where_the_models_are() {
    let cards = Cards::default();
    *cards.0.lock() = [3, 0];
    let mut fixture = fixture(&cards);
    let mut session = fixture.session().await;
    for function in ["own", "child"] {
        let (told, result) = run(&mut session, function, function, None).await;
        assert_eq!(told, "Cuda(0) Cuda(0)", "{function}");
        assert_eq!(result.metrics.expect("it started").peak_vram_bytes, 3 << 30, "{function} is watched");
    }
}

#[tokio::test(start_paused = true)]
async fn w12_5_a_job_runs_where_its_instance_is_and_holds_the_permit_of_that() {
    let cards = Cards::default();
    *cards.0.lock() = [3, 0];
    let mut fixture = fixture(&cards);
    let mut session = fixture.session().await;
    for function in ["own", "child"] {
        // Startup set it up on the first.
        let (told, result) = run(&mut session, function, function, Some(1)).await;
        assert_eq!(told, "Cuda(0) Cuda(0)", "{function}");
        assert_eq!(result.metrics.expect("it started").peak_vram_bytes, 3 << 30, "{function}: its permit is watched");
    }
}
