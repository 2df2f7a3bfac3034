//! Tokens of jobs that run on.

use std::{
    collections::VecDeque,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use futures::{FutureExt as _, future::BoxFuture};
use gen_worker_core::{Asset, NotRenewed, Registry, Renewal, RequestContext, TokenRenewer};
use gen_worker_hub::api::RenewReply;
use gen_worker_proto::pb::{self, JobStatus};
use parking_lot::Mutex;
use tokio::{sync::mpsc, time::Instant};

use crate::{
    fixture::Fixture,
    functions::{Probe, Text, text},
    uploads::Shelf,
};

/// Life of tokens here.
const LIFE_S: u64 = 3600;

/// Answers with these statuses, then with new tokens.
struct Office {
    refusals: Mutex<VecDeque<Option<u16>>>,
    asked: mpsc::UnboundedSender<(Renewal, Instant)>,
}

impl TokenRenewer for Office {
    fn renew(&self, renewal: Renewal) -> BoxFuture<'static, Result<RenewReply, NotRenewed>> {
        let refusal = self.refusals.lock().pop_front();
        drop(self.asked.send((renewal, Instant::now())));
        async move {
            match refusal {
                Some(status) => Err(NotRenewed { status, source: "closed".into() }),
                None => {
                    let capability_token = token("new").parse().expect("a token");
                    Ok(RenewReply { capability_token, expires_at_unix: now_s() + LIFE_S })
                }
            }
        }
        .boxed()
    }
}

fn now_s() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs()
}

fn token(name: &str) -> String {
    let claims = format!(r#"{{"name": "{name}", "iat": {}, "exp": {}}}"#, now_s(), now_s() + LIFE_S);
    format!("{name}.{}.signature", URL_SAFE_NO_PAD.encode(claims))
}

struct Running {
    fixture: Fixture,
    session: crate::orchestrator::Session,
    shelf: Arc<Shelf>,
    asked: mpsc::UnboundedReceiver<(Renewal, Instant)>,
    began: Instant,
}

/// A job that saves a file when it is let go.
async fn running(refusals: &[Option<u16>], token: String) -> Running {
    let (sender, asked) = mpsc::unbounded_channel();
    let office = Arc::new(Office { refusals: Mutex::new(refusals.iter().copied().collect()), asked: sender });
    let (shelf, probe) = (Arc::new(Shelf::of(usize::MAX)), Probe::default());
    let (uploader, gates) = (shelf.clone(), probe.clone());
    let functions = Registry::builder().asynchronous("late", move |context: RequestContext, input: Text| {
        let gate = gates.gate(&input.text);
        async move {
            gate.notified().await;
            context.save_bytes("a", "late").await
        }
    });
    let mut fixture = Fixture::serving(functions, probe, |options| {
        options.uploader = Some(uploader);
        options.renewer = Some(office);
        options.token = Some("worker".to_owned());
    });
    let session = fixture.session().await;
    let run = pb::RunJob {
        request_id: "r1".into(),
        attempt: 3,
        function_name: "late".into(),
        input_payload: text("go").into(),
        tenant: "acme".into(),
        capability_token: token,
        ..Default::default()
    };
    session.run_job(run).await;
    Running { fixture, session, shelf, asked, began: Instant::now() }
}

impl Running {
    /// The next renewal, and seconds since the job began.
    async fn renewal(&mut self) -> (Renewal, u64) {
        let (renewal, at) = self.asked.recv().await.expect("it is asked for");
        (renewal, (at - self.began).as_secs())
    }

    async fn ended(&mut self) -> String {
        self.fixture.probe.open("go");
        let result = self.session.result().await;
        assert_eq!(result.status(), JobStatus::Ok, "{}", result.safe_message);
        let Some(pb::job_result::Output::Inline(output)) = result.output else { panic!("an output") };
        let asset: Asset = rmp_serde::from_slice(&output).expect("an asset");
        assert_eq!(asset.reference, "stored/a");
        self.shelf.uploads.lock().pop().expect("an upload").capability_token
    }
}

#[tokio::test(start_paused = true)]
async fn h9_5_a_token_is_renewed_at_four_fifths_of_its_life_and_the_job_goes_on_with_the_new_one() {
    let mut running = running(&[], token("old")).await;
    let (renewal, at) = running.renewal().await;
    assert!((LIFE_S * 4 / 5 - 2..=LIFE_S * 4 / 5).contains(&at), "{at}");
    assert_eq!((renewal.pair.request_id.as_str(), renewal.pair.attempt.0), ("r1", 3));
    assert_eq!((renewal.worker_token.as_str(), renewal.file_base_url.as_str()), ("worker", "http://files"));
    assert!(renewal.capability_token.reveal().starts_with("old."));
    let (again, later) = running.renewal().await;
    assert!(again.capability_token.reveal().starts_with("new.") && later >= at + LIFE_S * 4 / 5 - 2, "{later}");
    assert!(running.ended().await.starts_with("new."));
    tokio::time::sleep(Duration::from_secs(2 * LIFE_S)).await; // tidy: the paused clock; nothing waits in real time
    assert!(running.asked.is_empty(), "a job that ended needs no token");
}

#[tokio::test(start_paused = true)]
async fn h9_5_failures_that_may_pass_are_repeated_three_times() {
    let mut running = running(&[None, Some(503), Some(429)], token("old")).await;
    let mut times = Vec::new();
    for _ in 0..4 {
        times.push(running.renewal().await.1);
    }
    let waits: Vec<_> = times.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert_eq!(waits, [5, 10, 15]);
    assert!(running.ended().await.starts_with("new."));
}

#[tokio::test(start_paused = true)]
async fn h9_5_a_refusal_is_final_and_the_old_token_stays() {
    for status in [401, 403, 404, 409] {
        let mut running = running(&[Some(status)], token("old")).await;
        running.renewal().await;
        tokio::time::sleep(Duration::from_secs(2 * LIFE_S)).await; // tidy: the paused clock; nothing waits in real time
        assert!(running.asked.is_empty(), "{status}");
        assert!(running.ended().await.starts_with("old."));
    }
}

#[tokio::test(start_paused = true)]
async fn h9_5_a_token_that_does_not_say_when_it_ends_is_left_alone() {
    let mut running = running(&[], "opaque".to_owned()).await;
    tokio::time::sleep(Duration::from_secs(2 * LIFE_S)).await; // tidy: the paused clock; nothing waits in real time
    assert!(running.asked.is_empty());
    assert_eq!(running.ended().await, "opaque");
}
