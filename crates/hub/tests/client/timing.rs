//! Every number of the contract, section 15, that a client has: how long each call waits for a server that says nothing, how often
//! it comes again, and when.
//!
//! Time stands still here, and is moved by hand once a call has reached the server. So a wait is known to the millisecond, and
//! takes none.

use std::{
    future::{Future, poll_fn},
    pin::Pin,
    sync::mpsc,
    task::Poll,
    time::Duration,
};

use gen_worker_hub::{
    Blake3Hash, HubRef, ServerId,
    api::{
        CommitCreate, CommitMode, CommitOperation, CompleteRequest, LocalFile, MediaUrlsRequest, RenewRequest,
        SessionOpen, UploadCreate, UploadPlace,
    },
    client::{HubClient, HubClientOptions, HubError, HubTiming, UploadTarget},
    model_ref::RepoName,
};
use gen_worker_tasks::Scope;
use serde_json::Map;
use tokio::net::{TcpSocket, TcpStream};

use crate::server::{Answer, Server};

/// Less than any wait, and more than the rounding of a timer.
const SLACK: Duration = Duration::from_millis(5);

/// Turns in which a call whose time has come gets to its next step.
const TURNS: usize = 500;

/// A call; what went wrong with it.
type Call<'a> = Pin<Box<dyn Future<Output = Option<HubError>> + 'a>>;

/// Time that stands, and does not move to the next timer by itself either: that is what a task that blocks is for.
struct Standing {
    _held: mpsc::Sender<()>,
    _scope: Scope,
}

impl Standing {
    fn begin() -> Self {
        tokio::time::pause();
        let (held, ends) = mpsc::channel::<()>();
        let scope = Scope::new("standing time");
        drop(scope.spawn_blocking(move || ends.recv().is_ok()));
        Self { _held: held, _scope: scope }
    }
}

/// A call that waits for a server that stalls.
struct Waiting<'a> {
    call: Call<'a>,
    server: &'a Server,
    attempts: usize,
}

impl<'a> Waiting<'a> {
    fn new(server: &'a Server, call: Call<'a>) -> Self {
        Self { call, server, attempts: server.lines().len() }
    }

    /// Its next attempt is with the server.
    async fn arrives(&mut self) {
        tokio::select! {
            error = &mut self.call => panic!("attempt {}: {error:?}", self.attempts),
            () = self.server.stalled.notified() => {}
        }
        self.attempts += 1;
        assert_eq!(self.server.lines().len(), self.attempts);
    }

    /// Lets time pass. What the call came to, unless it goes on.
    async fn passes(&mut self, time: Duration) -> Option<Option<HubError>> {
        tokio::time::advance(time).await;
        for _ in 0..TURNS {
            let polled = poll_fn(|context| Poll::Ready(self.call.as_mut().poll(context))).await;
            if let Poll::Ready(outcome) = polled {
                return Some(outcome);
            }
            tokio::task::yield_now().await;
        }
        None
    }

    /// It does nothing before `least`; what it came to right after `most`, unless it goes on.
    async fn waits(&mut self, least: Duration, most: Duration) -> Option<Option<HubError>> {
        let before = self.passes(least - SLACK).await;
        assert!(before.is_none(), "before {least:?}: {before:?}");
        assert_eq!(self.server.lines().len(), self.attempts, "before {least:?}");
        self.passes(most - least + 2 * SLACK).await
    }

    /// It makes an attempt of `timeout`, and another one after each of these waits, to which up to a tenth may be added; then it
    /// has failed.
    async fn fails_after(mut self, timeout: u64, waits: &[f64], spread: f64) -> HubError {
        let timeout = Duration::from_secs(timeout);
        for wait in waits {
            self.arrives().await;
            assert!(self.waits(timeout, timeout).await.is_none(), "it comes again");
            let wait = Duration::from_secs_f64(*wait);
            assert!(self.waits(wait, wait.mul_f64(spread)).await.is_none(), "it comes again");
        }
        self.arrives().await;
        self.waits(timeout, timeout).await.expect("an end").expect("an error")
    }
}

async fn silent() -> Server {
    Server::start(vec![Answer::Stall(Vec::new())]).await
}

/// A client with the numbers that every user has.
fn client(server: &Server) -> HubClient {
    with(server, HubTiming::default())
}

fn with(server: &Server, timing: HubTiming) -> HubClient {
    HubClient::new(HubClientOptions { timing, ..server.options() }).unwrap()
}

fn repo() -> RepoName {
    "o/r".parse().unwrap()
}

fn id() -> ServerId {
    "u1".parse().unwrap()
}

fn media() -> UploadTarget {
    UploadTarget::Media { owner: "acme".into() }
}

fn local() -> LocalFile {
    LocalFile { reference: "a".into(), size_bytes: 2, blake3: Blake3Hash::of(b"{}"), mime_type: "x/y".into() }
}

fn upload() -> UploadCreate {
    UploadCreate {
        blake3: local().blake3,
        size_bytes: 2,
        request_id: None,
        job_id: None,
        content_type: None,
        create: false,
        place: UploadPlace::media("a").unwrap(),
    }
}

fn commit() -> CommitCreate {
    let add = CommitOperation::Add { path: "a".parse().unwrap(), blake3: Blake3Hash::of(b"{}"), size_bytes: 2 };
    CommitCreate::new(CommitMode::Merge, vec![add])
}

fn renewal() -> RenewRequest {
    RenewRequest { request_id: "r1".into(), attempt: 1, capability_token: "tok-old".parse().unwrap() }
}

fn of(error: &HubError) -> Option<u64> {
    let HubError::Timeout { after, .. } = error else { return None };
    Some(after.as_secs())
}

/// Calls that are made once, and how long each waits for its answer.
fn single_calls(client: &HubClient) -> Vec<(u64, Call<'_>)> {
    vec![
        (60, Box::pin(async { client.resolve(&HubRef::parse("o/r").unwrap()).await.err() })),
        (60, Box::pin(async { client.create_upload(&media(), &upload(), &local()).await.err() })),
        (30, Box::pin(async { client.open_session(&repo(), &SessionOpen::default()).await.err() })),
        (120, Box::pin(async { client.finalize_session(&repo(), &id()).await.err() })),
        (30, Box::pin(async { client.metadata(&repo()).await.err() })),
        (30, Box::pin(async { client.put_metadata(&repo(), &Map::new()).await.err() })),
        (30, Box::pin(async { client.datasets("o").await.err() })),
        (300, Box::pin(async { client.blob(&Blake3Hash::of(b"{}").into(), 10).await.err() })),
        (30, Box::pin(async { client.renew_capability(&"tok-worker".parse().unwrap(), &renewal()).await.err() })),
        (30, Box::pin(async { client.media_urls(&MediaUrlsRequest { refs: Vec::new() }).await.err() })),
    ]
}

/// Calls to which no answer counts, and how long each waits for one.
fn last_words(client: &HubClient) -> Vec<(u64, Call<'_>)> {
    let none = || None::<HubError>;
    vec![
        (
            15,
            Box::pin(async move {
                client.abort_upload(&media(), &id()).await;
                none()
            }),
        ),
        (
            15,
            Box::pin(async move {
                client.abort_session(&repo(), &id()).await;
                none()
            }),
        ),
        (
            30,
            Box::pin(async move {
                client.abort_commit(&repo(), &id()).await;
                none()
            }),
        ),
    ]
}

#[tokio::test]
async fn h15_a_call_that_is_made_once_waits_so_long_for_its_answer() {
    let server = silent().await;
    let _standing = Standing::begin();
    let client = client(&server);
    for (seconds, call) in single_calls(&client) {
        let error = Waiting::new(&server, call).fails_after(seconds, &[], 1.0).await;
        assert_eq!(of(&error), Some(seconds), "{error}");
    }
}

#[tokio::test]
async fn h15_a_call_that_gives_something_up_does_not_wait_long_for_an_answer() {
    let server = silent().await;
    let _standing = Standing::begin();
    let client = client(&server);
    for (seconds, call) in last_words(&client) {
        let (mut waiting, time) = (Waiting::new(&server, call), Duration::from_secs(seconds));
        waiting.arrives().await;
        assert!(waiting.waits(time, time).await.is_some_and(|error| error.is_none()), "{seconds} s");
    }
}

#[tokio::test]
async fn h15_the_complete_of_an_upload_is_tried_five_times_for_ten_minutes_each() {
    let server = silent().await;
    let _standing = Standing::begin();
    let client = client(&server);
    let request = CompleteRequest::default();
    let call = async { client.complete_upload(&media(), &id(), &request, &local()).await.err() };
    let error = Waiting::new(&server, Box::pin(call)).fails_after(600, &[0.5; 4], 1.0).await;
    assert_eq!(of(&error), Some(600), "{error}");
}

#[tokio::test]
async fn h15_calls_of_a_commit_are_tried_five_times_for_two_minutes_each() {
    let server = silent().await;
    let _standing = Standing::begin();
    let client = client(&server);
    let calls: [Call<'_>; 2] = [
        Box::pin(async { client.create_commit(&repo(), &commit()).await.err() }),
        Box::pin(async { client.finalize_commit(&repo(), &id()).await.err() }),
    ];
    for call in calls {
        let error = Waiting::new(&server, call).fails_after(120, &[1.0, 2.0, 4.0, 8.0], 1.1).await;
        assert_eq!(of(&error), Some(120), "{error}");
    }
}

/// A complete that is lost in all of its five attempts is asked for once more after 15 s, as long as half an hour is not over.
#[tokio::test]
async fn h15_the_complete_of_a_file_of_a_commit_that_is_lost_is_asked_for_again() {
    let server = silent().await;
    let _standing = Standing::begin();
    let request = CompleteRequest::default();
    let rounds = async |client: &HubClient, timeout: u64, waits: &[f64]| {
        let call = async { client.complete_commit_upload(&repo(), &id(), &id(), &request).await.err() };
        Waiting::new(&server, Box::pin(call)).fails_after(timeout, waits, 1.1).await
    };
    let error = rounds(&client(&server), 600, &[1.0, 2.0, 4.0, 8.0]).await;
    assert!(matches!(error, HubError::Unfinished { after, .. } if after.as_secs() == 1800), "{error:?}");
    // Attempts of four minutes, so that a round is no half hour yet, and two are.
    let short = with(&server, HubTiming { complete: Duration::from_secs(240), ..HubTiming::default() });
    let error = rounds(&short, 240, &[1.0, 2.0, 4.0, 8.0, 15.0, 1.0, 2.0, 4.0, 8.0]).await;
    assert!(matches!(error, HubError::Unfinished { after, .. } if after.as_secs() == 1800), "{error:?}");
}

#[tokio::test]
async fn h15_a_blob_may_pause_for_five_minutes() {
    let begun = b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n{".to_vec();
    let server = Server::start(vec![Answer::Stall(begun)]).await;
    let _standing = Standing::begin();
    let client = client(&server);
    let mut blob = client.blob(&Blake3Hash::of(b"{}").into(), 10).await.unwrap();
    assert_eq!(blob.next().await.unwrap().as_deref(), Some(&b"{"[..]));
    let (mut waiting, pause) =
        (Waiting::new(&server, Box::pin(async { blob.next().await.err() })), Duration::from_secs(300));
    assert!(waiting.passes(Duration::ZERO).await.is_none(), "it has begun");
    let error = waiting.waits(pause, pause).await.expect("an end").expect("an error");
    assert_eq!(of(&error), Some(300), "{error}");
}

#[tokio::test]
async fn h15_a_connection_may_take_half_a_minute_to_come_about() {
    // One connection waits to be accepted, and there is no room for another.
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let listener = socket.listen(0).unwrap();
    let address = listener.local_addr().unwrap();
    let _first = TcpStream::connect(address).await.unwrap();
    let server = silent().await;
    let _standing = Standing::begin();
    let client = HubClient::new(HubClientOptions {
        base_url: format!("http://{address}"),
        timing: HubTiming::default(),
        ..server.options()
    });
    let client = client.unwrap();
    let call = async { client.resolve(&HubRef::parse("o/r").unwrap()).await.err() };
    let (mut waiting, time) = (Waiting::new(&server, Box::pin(call)), Duration::from_secs(30));
    assert!(waiting.passes(Duration::ZERO).await.is_none(), "it has begun");
    let error = waiting.waits(time, time).await.expect("an end").expect("an error");
    assert!(matches!(error, HubError::Transport { .. }), "{error:?}");
}
