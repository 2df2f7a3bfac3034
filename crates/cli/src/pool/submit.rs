//! `gen-worker submit`: one request to a running orchestrator, followed to its end.
//!
//! The request gets its id here and is put in idempotently, so that a repeated send is the same request; its events
//! are followed and picked up again after a broken connection.

mod client;
mod follow;
mod sse;
mod url;
mod words;

use std::time::{Duration, Instant};

use http::{HeaderName, HeaderValue, Method, StatusCode};
use http_body_util::BodyExt as _;
use serde_json::{Value, json};
use tokio::signal::unix::{Signal, SignalKind, signal};

use self::{
    client::Client,
    follow::{End, Follow, Last},
    sse::SseReader,
    url::ApiUrl,
};
use super::args::SubmitArgs;
use crate::{
    console::{note, print_document},
    env::{Environment, names},
    exit::{Exit, Failure, Outcome},
    interrupt::{Press, Presses},
    payload,
    tokens::Fields,
};

/// Where an orchestrator on this machine listens unless told otherwise.
const DEFAULT_URL: &str = "http://127.0.0.1:8080";

/// After this long without an end, the user is told that nothing is lost.
const NOTICE_AFTER: Duration = Duration::from_secs(15);

/// How often a broken event stream is picked up again in a row without a new event: with the pause, long enough for
/// an orchestrator that restarts.
const RECONNECTS_MAX: u32 = 20;

/// Longest id that a client may choose (HTTP contract, section 1).
const ID_CHARS_MAX: usize = 64;

/// How long a cancel may take to be taken; the request is followed on whatever came of it.
const CANCEL_TIMEOUT: Duration = Duration::from_secs(5);

/// Pause before a broken event stream is picked up again: long enough for a restart, short enough for a person.
const RECONNECT_PAUSE: Duration = Duration::from_millis(500);

/// Runs the command.
pub(super) async fn run(args: SubmitArgs, env: &Environment) -> Outcome {
    let url = args.url.as_deref().map(Ok).or_else(|| env.text(&names::GEN_WORKER_URL).transpose()).transpose()?;
    let url = ApiUrl::parse(url.unwrap_or(DEFAULT_URL)).map_err(Failure::usage)?;
    let client = Client::new(url, env.text(&names::GEN_WORKER_TOKEN)?)?;
    let payload = payload_of(&args, &client).await?;
    let id = args.id.clone().map_or_else(|| Ok(uuid::Uuid::new_v4().simple().to_string()), checked_id)?;
    let session = Session { client: &client, args: &args, id: &id };
    let mut interrupts = Interrupts::listen()?;
    let limit = args.timeout;
    let run = session.run(payload);
    let mut run = std::pin::pin!(run);
    let mut notice = std::pin::pin!(tokio::time::sleep(NOTICE_AFTER));
    let mut noticed = false;
    let started = Instant::now();
    loop {
        let remaining = limit.map(|limit| limit.saturating_sub(started.elapsed()));
        tokio::select! {
            outcome = &mut run => return outcome,
            () = interrupts.second_or_cancel() => {
                if interrupts.exit {
                    return Ok(Exit::Interrupted);
                }
                note("gen-worker submit: canceling; press Ctrl-C again within 2 s to leave the request alone");
                session.cancel().await;
            }
            () = &mut notice, if !noticed => {
                noticed = true;
                note(&format!("gen-worker submit: still waiting for request {id}"));
            }
            () = until(remaining) => {
                let seconds = limit.unwrap_or_default().as_secs_f64();
                return Err(Failure::usage(format!("no result within {seconds} s; request {id} goes on")));
            }
        }
    }
}

/// Ctrl-C, press by press.
struct Interrupts {
    signal: Signal,
    presses: Presses,
    exit: bool,
}

impl Interrupts {
    fn listen() -> Result<Self, Failure> {
        let signal = signal(SignalKind::interrupt())
            .map_err(|error| Failure::failed(format!("could not listen for Ctrl-C: {error}")))?;
        Ok(Self { signal, presses: Presses::default(), exit: false })
    }

    /// Completes at the next press; `exit` then tells whether it was the second one.
    async fn second_or_cancel(&mut self) {
        if self.signal.recv().await.is_none() {
            std::future::pending::<()>().await;
        }
        self.exit = self.presses.press(Instant::now()) == Press::Exit;
    }
}

/// An id that a client may choose.
fn checked_id(id: String) -> Result<String, Failure> {
    let fits = (1..=ID_CHARS_MAX).contains(&id.len());
    if fits && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-') {
        Ok(id)
    } else {
        Err(Failure::usage(format!("--id must be 1 to {ID_CHARS_MAX} letters, digits, `_` or `-`")))
    }
}

async fn until(remaining: Option<Duration>) {
    match remaining {
        Some(remaining) => tokio::time::sleep(remaining).await,
        None => std::future::pending().await,
    }
}

async fn payload_of(args: &SubmitArgs, client: &Client) -> Result<Value, Failure> {
    let has_base = args.payload.is_some() || args.payload_file.is_some();
    let base = payload::base(args.payload.as_deref(), args.payload_file.as_deref())?;
    let given = words::given(&args.words, has_base);
    let needs_fields = given == words::Given::Words { fields: true };
    if let Some(whole) = words::whole(given)? {
        return Ok(whole);
    }
    let fields = if needs_fields { fields_of(client, &args.function).await } else { None };
    words::merged(base, &args.words, fields.as_ref())
}

/// The payload's fields, if the orchestrator knows them; without them values are guessed.
async fn fields_of(client: &Client, function: &str) -> Option<Fields> {
    let path = format!("/v1/functions/{}", gen_worker_proto::slug(function));
    let reply = client.exchange(Method::GET, &path, None).await.ok()?;
    Fields::from_schema(reply.body.get("input_schema")?)
}

/// One request on its way.
struct Session<'a> {
    client: &'a Client,
    args: &'a SubmitArgs,
    id: &'a str,
}

impl Session<'_> {
    async fn run(&self, payload: Value) -> Outcome {
        let body = json!({"function": self.args.function, "payload": payload});
        let path = format!("/v1/requests/{}", self.id);
        let reply = self.client.exchange(Method::PUT, &path, Some(&body)).await?;
        if !reply.status.is_success() {
            return Err(refused(reply.status, &reply.body));
        }
        if self.args.no_wait {
            print_document(&reply.body, self.args.pretty)?;
            return Ok(Exit::Success);
        }
        let mut follow = Follow::new(self.args.stream);
        let mut failures = 0;
        loop {
            let before = follow.last_id().to_owned();
            let broken = match self.follow(&mut follow).await {
                Ok(Some(outcome)) => return outcome,
                Ok(None) => Failure::usage("the orchestrator closed the event stream without a result"),
                Err(failure) => failure,
            };
            failures = if follow.last_id() == before { failures + 1 } else { 1 };
            if failures > RECONNECTS_MAX {
                return Err(broken);
            }
            if failures == 1 {
                note(&format!("gen-worker submit: {}; trying again", broken.message()));
            }
            tokio::time::sleep(RECONNECT_PAUSE).await;
        }
    }

    /// Reads one event stream. `None` when it broke off before the end of the request.
    async fn follow(&self, follow: &mut Follow) -> Result<Option<Outcome>, Failure> {
        let path = format!("/v1/requests/{}/events", self.id);
        let mut headers = Vec::new();
        if let Ok(last) = HeaderValue::try_from(follow.last_id())
            && !follow.last_id().is_empty()
        {
            headers.push((HeaderName::from_static("last-event-id"), last));
        }
        self.client
            .with_response(Method::GET, &path, "text/event-stream", &headers, None, |status, mut body| async move {
                if !status.is_success() {
                    let whole = body.collect().await.map(|whole| whole.to_bytes()).unwrap_or_default();
                    return Ok(Some(Err(refused(status, &serde_json::from_slice(&whole).unwrap_or_default()))));
                }
                let mut reader = SseReader::default();
                while let Some(frame) = body.frame().await {
                    let Ok(frame) = frame else { return Ok(None) };
                    let Some(bytes) = frame.data_ref() else { continue };
                    let events = reader.push(bytes).map_err(|error| Failure::usage(error.to_string()))?;
                    for event in events {
                        let (values, end) = follow.event(&event)?;
                        for value in values {
                            print_document(&value, self.args.pretty)?;
                        }
                        if let Some(end) = end {
                            return Ok(Some(self.end(end).await));
                        }
                    }
                }
                Ok(None)
            })
            .await
    }

    async fn end(&self, end: End) -> Outcome {
        match end {
            End::Failed(failure) => Err(failure),
            End::Succeeded { last } => {
                let value = match last {
                    Last::Value(value) => value,
                    Last::Fetch => self.output().await?,
                };
                print_document(&value, self.args.pretty)?;
                Ok(Exit::Success)
            }
        }
    }

    async fn output(&self) -> Result<Value, Failure> {
        let reply = self.client.exchange(Method::GET, &format!("/v1/requests/{}/output", self.id), None).await?;
        if reply.status.is_success() { Ok(reply.body) } else { Err(refused(reply.status, &reply.body)) }
    }

    /// Asks for a cancel; the end of the request tells what came of it.
    async fn cancel(&self) {
        let path = format!("/v1/requests/{}/cancel", self.id);
        let cancel = tokio::time::timeout(CANCEL_TIMEOUT, self.client.exchange(Method::POST, &path, None)).await;
        match cancel {
            Ok(Ok(_)) => {}
            Ok(Err(failure)) => note(&format!("gen-worker submit: {}", failure.message())),
            Err(_) => note("gen-worker submit: the orchestrator does not answer the cancel"),
        }
    }
}

/// A refusal of the API as a failure.
fn refused(status: StatusCode, body: &Value) -> Failure {
    match body.get("error") {
        Some(error) => follow::failure(error),
        None => Failure::usage(format!("the orchestrator answered with status {status}")),
    }
}
