//! Adapters that a dispatch names.

use gen_worker_core::{Registry, RequestContext};
use gen_worker_proto::pb::{self, JobResult, JobStatus, job_result};

use crate::{
    fixture::Fixture,
    functions::{Probe, Text, text},
    orchestrator::Session,
};

/// Runs the function that says its adapters with these, each a ref and a weight.
async fn run(session: &mut Session, id: &str, loras: &[(&str, f64)]) -> JobResult {
    let overlay = |(reference, weight): &(&str, f64)| pb::LoraOverlay { r#ref: (*reference).into(), weight: *weight };
    let loras = loras.iter().map(overlay).collect();
    session
        .run_job(pb::RunJob {
            request_id: id.into(),
            attempt: 1,
            function_name: "weights".into(),
            input_payload: text("x").into(),
            models: vec![pb::ModelBinding { slot: "base".into(), r#ref: "o/base".into(), loras }],
            ..Default::default()
        })
        .await;
    session.result().await
}

#[tokio::test(start_paused = true)]
async fn w13_adapters_are_checked_at_arrival_and_a_weight_of_zero_is_one() {
    let functions = Registry::builder().asynchronous("weights", |context: RequestContext, _: Text| async move {
        let loras = context.loras().get("base").into_iter().flatten();
        let told: Vec<_> = loras.map(|lora| format!("{} {:?}", lora.reference, lora.weight)).collect();
        Ok(Text { text: told.join(", ") })
    });
    let mut fixture = Fixture::serving(functions, Probe::default(), |_| {});
    let mut session = fixture.session().await;
    let result = run(&mut session, "r0", &[("o/a", 0.0), ("o/b", -4.0)]).await;
    let Some(job_result::Output::Inline(output)) = &result.output else { panic!("inline: {result:?}") };
    let told: Text = rmp_serde::from_slice(output).expect("a text");
    assert_eq!(told.text, "o/a 1.0, o/b -4.0");

    let nine = [("o/0", 1.0), ("o/1", 1.0), ("o/2", 1.0), ("o/3", 1.0), ("o/4", 1.0), ("o/5", 1.0), ("o/6", 1.0)];
    let nine = [&nine[..], &[("o/7", 1.0), ("o/8", 1.0)]].concat();
    let cases = [
        ("r1", vec![("o/a", 4.1)], "adapter o/a has weight 4.1"),
        ("r2", vec![("o/a", f64::NAN)], "adapter o/a has weight NaN"),
        ("r3", vec![("", 1.0)], "slot \"base\""),
        ("r4", vec![("o/a", 1.0), ("o/a", 2.0)], "o/a is named twice"),
        ("r5", nine.clone(), "9 adapters"),
    ];
    for (id, loras, why) in cases {
        let result = run(&mut session, id, &loras).await;
        assert_eq!(result.status(), JobStatus::Invalid, "{why}");
        assert!(result.safe_message.contains(why), "{}", result.safe_message);
    }
    assert_eq!(run(&mut session, "r6", &nine[1..]).await.status(), JobStatus::Ok, "eight are allowed");
}
