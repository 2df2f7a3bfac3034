//! Adapters that a dispatch names.

use std::{fs, path::Path, sync::Arc};

use futures::FutureExt as _;
use gen_worker_core::{
    Invocation, LocalModels, ModelError, Registry, RegistryBuilder,
    binding::hub,
    codec,
    endpoint::{EndpointDecl, HandlerDecl, OutputShape},
    function::Call,
    io_type::{Output, Payload},
};
use gen_worker_proto::pb::{self, JobResult, JobStatus, ModelState, job_result, worker_message::Msg};

use crate::{
    fixture::Fixture,
    functions::{Probe, Text, text},
    orchestrator::Session,
    shelf::{Failure, Shelf},
};

/// A function that says its adapters, with a slot that takes some and one that takes none.
fn teller() -> RegistryBuilder {
    let handler = HandlerDecl {
        method: "weights",
        name: None,
        payload: <Text as Payload>::type_decl(),
        output: <Text as Output>::type_decl(),
        shape: OutputShape::Single,
        blocking: false,
        slots: vec!["base", "fixed"],
        call: Arc::new(|call: Call| {
            let loras = call.context.loras().get("base").cloned().unwrap_or_default();
            let told: Vec<_> = loras
                .iter()
                .map(|lora| format!("{} {:?} {}", lora.reference, lora.weight, lora.file.is_file()))
                .collect();
            Ok(Invocation::Async(async move { codec::encode(&Text { text: told.join(", ") }) }.boxed()))
        }),
    };
    let mut endpoint = EndpointDecl::function("conformance", handler);
    endpoint.slots.named.push(("base", hub("o/base").allow_lora().build()));
    endpoint.slots.named.push(("fixed", hub("o/base").build()));
    Registry::builder().endpoint(endpoint)
}

/// The base, and ten adapters `o/0` to `o/9`; `o/model` is none.
fn models(dir: &Path) -> LocalModels {
    let mut models = LocalModels::new().with("o/base", dir);
    for name in ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9", "model"] {
        let tensor = if name == "model" { "q.weight" } else { "q.lora_A.weight" };
        let header = format!(r#"{{"{tensor}":{{"dtype":"U8","shape":[0],"data_offsets":[0,0]}}}}"#);
        let length = u64::try_from(header.len()).expect("small").to_le_bytes();
        let dir = dir.join(name);
        fs::create_dir(&dir).expect("created");
        fs::write(dir.join("adapter.safetensors"), [&length, header.as_bytes()].concat()).expect("written");
        models = models.with(format!("o/{name}"), dir);
    }
    models
}

/// Runs that function with these adapters of `slot`, each a ref and a weight.
async fn run(session: &mut Session, id: &str, slot: &str, loras: &[(&str, f64)]) -> JobResult {
    let overlay = |(reference, weight): &(&str, f64)| pb::LoraOverlay { r#ref: (*reference).into(), weight: *weight };
    let loras = loras.iter().map(overlay).collect();
    session
        .run_job(pb::RunJob {
            request_id: id.into(),
            attempt: 1,
            function_name: "weights".into(),
            input_payload: text("x").into(),
            models: vec![pb::ModelBinding { slot: slot.into(), r#ref: "o/base".into(), loras }],
            ..Default::default()
        })
        .await;
    session.result().await
}

fn told(result: &JobResult) -> String {
    let Some(job_result::Output::Inline(output)) = &result.output else { panic!("inline: {result:?}") };
    rmp_serde::from_slice::<Text>(output).expect("a text").text
}

#[tokio::test(start_paused = true)]
async fn w13_adapters_are_checked_at_arrival_and_a_weight_of_zero_is_one() {
    let dir = tempfile::tempdir().expect("a directory");
    let source = Arc::new(models(dir.path()));
    let mut fixture = Fixture::with_models(teller(), Probe::default(), source, |_| {});
    let mut session = fixture.session().await;
    let result = run(&mut session, "r0", "base", &[("o/0", 0.0), ("o/1", -4.0)]).await;
    assert_eq!(told(&result), "o/0 1.0 true, o/1 -4.0 true", "they are here when the handler starts");

    let nine = ["o/0", "o/1", "o/2", "o/3", "o/4", "o/5", "o/6", "o/7", "o/8"].map(|reference| (reference, 1.0));
    let cases = [
        ("r1", "base", vec![("o/0", 4.1)], "adapter o/0 has weight 4.1"),
        ("r2", "base", vec![("o/0", f64::NAN)], "adapter o/0 has weight NaN"),
        ("r3", "base", vec![("", 1.0)], "slot \"base\""),
        ("r4", "base", vec![("o/0", 1.0), ("o/0", 2.0)], "o/0 is named twice"),
        ("r5", "base", nine.to_vec(), "9 adapters"),
        ("r6", "fixed", vec![("o/0", 1.0)], "slot \"fixed\" takes no adapters"),
        ("r7", "other", vec![("o/0", 1.0)], "slot \"other\" takes no adapters"),
        ("r8", "base", vec![("o/model", 1.0)], "tensor \"q.weight\" that is none of an adapter"),
    ];
    for (id, slot, loras, why) in cases {
        let result = run(&mut session, id, slot, &loras).await;
        assert_eq!(result.status(), JobStatus::Invalid, "{why}");
        assert!(result.safe_message.contains(why), "{}", result.safe_message);
    }
    assert_eq!(run(&mut session, "r9", "base", &nine[1..]).await.status(), JobStatus::Ok, "eight are allowed");
}

#[tokio::test(start_paused = true)]
async fn w13_an_adapter_that_cannot_be_had_is_no_fault_of_client_or_function() {
    let dir = tempfile::tempdir().expect("a directory");
    let source = Arc::new(models(dir.path()));
    let mut fixture = Fixture::with_models(teller(), Probe::default(), source, |_| {});
    let mut session = fixture.session().await;
    assert_eq!(run(&mut session, "r1", "base", &[("o/none", 1.0)]).await.status(), JobStatus::Retryable);
    assert_eq!(run(&mut session, "r2", "base", &[("o/model", 1.0)]).await.status(), JobStatus::Invalid);
    let result = run(&mut session, "r3", "base", &[("o/0", 1.0)]).await;
    assert_eq!(told(&result), "o/0 1.0 true", "the function serves on");
    assert_eq!(told(&run(&mut session, "r4", "base", &[]).await), "", "active in the requests that name it");
}

#[tokio::test(start_paused = true)]
async fn m8_3_an_adapter_that_does_not_come_is_told_with_its_reason() {
    let shelf = Shelf::new();
    shelf.has("o/base");
    let full = |reference: &str| ModelError::InsufficientDisk {
        reference: reference.into(),
        required_bytes: 2,
        available_bytes: 1,
    };
    shelf.fails("o/0", &[full as Failure]);
    let mut fixture = Fixture::with_models(teller(), Probe::default(), shelf, |_| {});
    let mut session = fixture.session().await;
    let overlay = pb::LoraOverlay { r#ref: "o/0".into(), weight: 1.0 };
    let run = pb::RunJob {
        request_id: "r1".into(),
        attempt: 1,
        function_name: "weights".into(),
        input_payload: text("x").into(),
        models: vec![pb::ModelBinding { slot: "base".into(), r#ref: "o/base".into(), loras: vec![overlay] }],
        ..Default::default()
    };
    session.run_job(run).await;
    loop {
        match session.next().await {
            Msg::ModelEvent(event) if event.r#ref == "o/0" => {
                assert_eq!((event.state(), event.error.as_str()), (ModelState::Failed, "insufficient_disk"));
                break;
            }
            _ => {}
        }
    }
    assert_eq!(session.result().await.status(), JobStatus::Retryable);
}
