//! Jobs from dispatch to result.

use std::time::Duration;

use gen_worker_proto::pb::{self, JobStatus, job_result::Output, worker_message::Msg};

use crate::{
    fixture::Fixture,
    functions::{Text, count, text},
};

#[tokio::test(start_paused = true)]
async fn c1_hello_is_first_and_nothing_follows_it_before_the_acknowledgement() {
    let mut fixture = Fixture::start();
    let mut session = fixture.orchestrator.next_call().await.accept();
    let hello = session.hello().await;
    assert_eq!((hello.protocol_version, hello.worker_id.as_str()), (2, "w1"));
    fixture.cancel.stop();
    assert!(session.try_next().await.is_none(), "not even state");
}

#[tokio::test(start_paused = true)]
async fn c2_ready_lists_the_functions_as_sorted_slugs() {
    let mut fixture = Fixture::start();
    let (mut session, _) = fixture.orchestrator.connect().await;
    let state = session.ready().await;
    assert!(state.available_functions.is_sorted());
    assert!(state.available_functions.contains(&"gated-echo".to_owned()));
    assert!(state.loading_functions.is_empty());
}

#[tokio::test(start_paused = true)]
async fn c3_echo_is_accepted_and_returns_inline() {
    let mut fixture = Fixture::start();
    let mut session = fixture.session().await;
    session.run("r1", 7, "echo", &text("marco")).await;
    assert_eq!(session.accepted().await, ("r1".into(), 7));
    let result = session.result().await;
    assert_eq!((result.attempt, result.status(), result.safe_message.as_str()), (7, JobStatus::Ok, ""));
    let Some(Output::Inline(output)) = result.output else { panic!("no inline output") };
    assert_eq!(rmp_serde::from_slice::<Text>(&output).expect("decodes"), Text { text: "marco".into() });
    assert!(result.metrics.expect("metrics").runtime_ms >= 0);
}

#[tokio::test(start_paused = true)]
async fn c3_holds_on_the_event_loop_too() {
    let mut fixture = Fixture::start();
    let mut session = fixture.session().await;
    for at in 0..50 {
        let id = format!("r{at}");
        session.run(&id, 1, "echo", &text(&id)).await;
        assert_eq!(session.accepted().await, (id.clone(), 1));
        assert_eq!(session.result().await.status(), JobStatus::Ok);
    }
    assert_eq!(fixture.probe.runs(), 50);
}

#[tokio::test(start_paused = true)]
async fn c4_bad_input_is_accepted_and_then_invalid() {
    let mut fixture = Fixture::start();
    let mut session = fixture.session().await;
    for (id, function, payload) in [
        ("r1", "refuse", text("not today")),
        ("r2", "echo", count(3)),
        ("r3", "echo", Vec::new()),
        ("r4", "busy", text("x")),
    ] {
        session.run(id, 1, function, &payload).await;
        assert_eq!(session.accepted().await, (id.into(), 1));
        let result = session.result().await;
        assert_eq!(result.status(), JobStatus::Invalid, "{id}: {}", result.safe_message);
        assert!(!result.safe_message.is_empty());
        assert_eq!(result.output, None);
    }
}

#[tokio::test(start_paused = true)]
async fn c5_an_unknown_function_is_refused_without_acceptance() {
    let mut fixture = Fixture::start();
    let mut session = fixture.session().await;
    session.run("r1", 1, "nobody", &text("x")).await;
    let Msg::JobResult(result) = session.next().await else { panic!("a result comes first") };
    assert_eq!((result.status(), result.safe_message.as_str()), (JobStatus::Invalid, "unknown function 'nobody'"));
    assert_eq!(result.metrics, None, "refusals have no metrics");
    session.run("r1", 1, "nobody", &text("x")).await;
    assert_eq!(session.result().await.status(), JobStatus::Invalid, "refused pairs are not remembered");
}

#[tokio::test(start_paused = true)]
async fn both_spellings_of_a_name_are_found() {
    let mut fixture = Fixture::start();
    let mut session = fixture.session().await;
    for (id, name) in [("r1", "gated-echo"), ("r2", "gated_echo")] {
        fixture.probe.open(id);
        session.run(id, 1, name, &text(id)).await;
        assert_eq!(session.result().await.status(), JobStatus::Ok);
    }
}

#[tokio::test(start_paused = true)]
async fn c9_w9_a_finished_pair_is_not_run_again() {
    let mut fixture = Fixture::start();
    let mut session = fixture.session().await;
    session.run("r1", 1, "echo", &text("a")).await;
    session.result().await;
    session.run("r1", 1, "echo", &text("a")).await;
    session.silence().await;
    assert_eq!(fixture.probe.runs(), 1);
}

#[tokio::test(start_paused = true)]
async fn c10_w8_a_running_pair_is_accepted_again_and_run_once() {
    let mut fixture = Fixture::start();
    let mut session = fixture.session().await;
    session.run("r1", 1, "gated-echo", &text("a")).await;
    assert_eq!(session.accepted().await, ("r1".into(), 1));
    session.run("r1", 1, "gated-echo", &text("a")).await;
    assert_eq!(session.accepted().await, ("r1".into(), 1));
    fixture.probe.open("a");
    session.result().await;
    session.silence().await;
    assert_eq!(fixture.probe.runs(), 1);
}

#[tokio::test(start_paused = true)]
async fn c11_w10_a_newer_attempt_replaces_the_older_silently() {
    let mut fixture = Fixture::start();
    let mut session = fixture.session().await;
    session.run("r1", 1, "gated-echo", &text("a")).await;
    session.accepted().await;
    session.run("r1", 2, "gated-echo", &text("a")).await;
    assert_eq!(session.accepted().await, ("r1".into(), 2));
    fixture.probe.open("a");
    let result = session.result().await;
    assert_eq!((result.attempt, result.status()), (2, JobStatus::Ok));
    session.silence().await;
}

#[tokio::test(start_paused = true)]
async fn w25_jobs_run_side_by_side() {
    let mut fixture = Fixture::start();
    let mut session = fixture.session().await;
    for id in ["r1", "r2", "r3"] {
        session.run(id, 1, "gated-echo", &text(id)).await;
        session.accepted().await;
    }
    for id in ["r3", "r1", "r2"] {
        fixture.probe.open(id);
        let result = session.result().await;
        assert_eq!(result.request_id, id);
        let others = result.metrics.expect("metrics").concurrency_at_start;
        assert_eq!(others, id.trim_start_matches('r').parse::<i32>().expect("a number") - 1);
    }
}

#[tokio::test(start_paused = true)]
async fn limits_are_answered_as_section_10_says() {
    let mut fixture = Fixture::with(|options| {
        options.limits.jobs_max = 1;
        options.limits.input_bytes_max = 64;
        options.limits.output_bytes_max = 32;
    });
    let mut session = fixture.session().await;
    session.run("r1", 1, "gated-echo", &text("a")).await;
    session.accepted().await;
    for (id, function, payload, status, message) in [
        ("r2", "echo", text("a"), JobStatus::Retryable, "worker busy"),
        ("r3", "echo", text(&"a".repeat(100)), JobStatus::Invalid, "input payload too large"),
    ] {
        session.run(id, 1, function, &payload).await;
        let Msg::JobResult(result) = session.next().await else { panic!("a refusal comes first") };
        assert_eq!((result.status(), result.safe_message.as_str()), (status, message));
    }
    fixture.probe.open("a");
    session.result().await;
    session.run("r4", 1, "large", &count(100)).await;
    let result = session.result().await;
    assert_eq!((result.status(), result.safe_message.as_str()), (JobStatus::Invalid, "output payload too large"));
}

#[tokio::test(start_paused = true)]
async fn failures_carry_the_status_and_text_of_section_10() {
    let mut fixture = Fixture::start();
    let mut session = fixture.session().await;
    for (id, function, status, message) in
        [("r1", "retry", JobStatus::Retryable, "see [path]"), ("r2", "panics", JobStatus::Fatal, "Panic: see [path]")]
    {
        session.run(id, 1, function, &text("see /etc/secret")).await;
        let result = session.result().await;
        assert_eq!((result.status(), result.safe_message.as_str()), (status, message));
        assert!(result.metrics.is_some());
    }
    session.run("r3", 1, "echo", &text("still here")).await;
    assert_eq!(session.result().await.status(), JobStatus::Ok);
}

#[tokio::test(start_paused = true)]
async fn c30_an_output_at_the_limit_exactly_travels_inline() {
    let mut fixture = Fixture::start();
    let mut session = fixture.session().await;
    // 9 bytes of map, key and string header.
    session.run("r1", 1, "large", &count(65_536 - 9)).await;
    let result = session.result().await;
    assert_eq!(result.status(), JobStatus::Ok);
    assert!(matches!(result.output, Some(Output::Inline(output)) if output.len() == 65_536));
}

#[tokio::test(start_paused = true)]
async fn c19_w17_a_slow_handler_ends_at_its_deadline_and_the_next_job_runs() {
    let mut fixture = Fixture::start();
    let mut session = fixture.session().await;
    let slow = pb::RunJob {
        request_id: "r1".into(),
        attempt: 1,
        function_name: "slow".into(),
        input_payload: count(60_000).into(),
        timeout_ms: 300,
        ..Default::default()
    };
    let began = tokio::time::Instant::now();
    session.run_job(slow).await;
    session.accepted().await;
    let result = session.result().await;
    assert_eq!((result.status(), result.safe_message.as_str()), (JobStatus::Fatal, "deadline exceeded"));
    assert!(began.elapsed() < Duration::from_secs(1));
    session.run("r2", 1, "echo", &text("next")).await;
    assert_eq!(session.result().await.status(), JobStatus::Ok);
}

#[tokio::test(start_paused = true)]
async fn a_worker_rests_after_a_deadline() {
    let mut fixture = Fixture::start();
    let mut session = fixture.session().await;
    let slow = pb::RunJob {
        request_id: "r1".into(),
        attempt: 1,
        function_name: "slow".into(),
        input_payload: count(60_000).into(),
        timeout_ms: 300,
        ..Default::default()
    };
    session.run_job(slow).await;
    assert_eq!(session.result().await.status(), JobStatus::Fatal);
    // The clock moves only while every task waits: a loop that turns without end would stop it here.
    session.silence().await;
}

#[tokio::test(start_paused = true)]
async fn w5_every_message_of_a_job_carries_the_attempt_of_its_dispatch() {
    let mut fixture = Fixture::start();
    let mut session = fixture.session().await;
    let dispatches: [(&str, &str, Vec<u8>); 5] = [
        ("r1", "numbers", count(3)),
        ("r2", "chatty", count(2)),
        ("r3", "refuse", text("no")),
        ("r4", "nobody", text("a")),
        ("r5", "echo", b"\x80".to_vec()),
    ];
    for (at, (id, function, payload)) in (1_i64..).zip(dispatches) {
        // Neither the first nor in a row: nothing can be guessed.
        let attempt = at * 1_000 + 7;
        session.run(id, attempt, function, &payload).await;
        loop {
            let (pair, is_last) = match session.next().await {
                Msg::JobAccepted(job) => ((job.request_id, job.attempt), false),
                Msg::JobProgress(job) => ((job.request_id, job.attempt), false),
                Msg::JobResult(job) => ((job.request_id, job.attempt), true),
                _ => continue,
            };
            assert_eq!(pair, (id.to_owned(), attempt));
            if is_last {
                break;
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn w15_a_cancel_for_another_pair_changes_nothing() {
    let mut fixture = Fixture::start();
    let mut session = fixture.session().await;
    session.cancel("unknown", 1).await;
    session.run("r1", 2, "gated-echo", &text("a")).await;
    session.accepted().await;
    for attempt in [1, 3, 0, -1] {
        session.cancel("r1", attempt).await;
    }
    session.silence().await;
    fixture.probe.open("a");
    assert_eq!(session.result().await.status(), JobStatus::Ok);
    session.cancel("r1", 2).await;
    session.silence().await;
}

#[tokio::test(start_paused = true)]
async fn c20_w25_two_jobs_of_one_accelerator_follow_each_other_and_others_do_not_wait() {
    let mut fixture = Fixture::start();
    let mut session = fixture.session().await;
    let on = |id: &str, accelerator: &str, gpu_index| pb::RunJob {
        request_id: id.into(),
        attempt: 1,
        function_name: "gated-echo".into(),
        input_payload: text(id).into(),
        compute: Some(pb::ResolvedCompute { accelerator: accelerator.into(), gpu_index, ..Default::default() }),
        ..Default::default()
    };
    for run in [on("a", "cuda", 0), on("b", "cuda", 0), on("c", "cuda", 1), on("d", "none", 0)] {
        session.run_job(run).await;
        session.accepted().await;
    }
    session.silence().await;
    assert_eq!(fixture.probe.runs(), 3, "b waits for a");
    session.run_job(on("e", "cuda", 0)).await;
    session.accepted().await;
    session.cancel("e", 1).await;
    assert_eq!(session.result().await.status(), JobStatus::Canceled, "W16: without waiting for the accelerator");
    session.cancel("a", 1).await;
    assert_eq!(session.result().await.status(), JobStatus::Canceled);
    session.silence().await;
    assert_eq!(fixture.probe.runs(), 4, "a canceled job leaks nothing");
    for id in ["b", "c", "d"] {
        fixture.probe.open(id);
        assert_eq!(session.result().await.request_id, id);
    }
}
