//! The numbers of parts (Hub contract, section 15). Time stands still here and is moved by hand, so that each wait is known and takes
//! no time.

use std::{
    future::{Future, poll_fn},
    pin::{Pin, pin},
    sync::mpsc,
    task::Poll,
    time::Duration,
};

use gen_worker_hub::{api::UploadedFile, client::RetryPolicy};
use gen_worker_store::{UploadContent, UploadError, UploadFailure, UploadOptions};
use gen_worker_tasks::Scope;
use serde_json::json;
use tokio::net::{TcpSocket, TcpStream};

use crate::upload_server::{Hub, Say, media};

/// Less than any wait, and more than the rounding of a timer.
const SLACK: Duration = Duration::from_millis(5);

/// Turns in which an upload whose time has come gets to its next step.
const TURNS: usize = 500;

const PART: &str = "PUT /part/1";

type Outcome = Result<UploadedFile, UploadError>;

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

/// Lets time pass. What the upload came to, unless it goes on.
async fn passes(upload: &mut Pin<&mut impl Future<Output = Outcome>>, time: Duration) -> Option<Outcome> {
    tokio::time::advance(time).await;
    for _ in 0..TURNS {
        if let Poll::Ready(outcome) = poll_fn(|context| Poll::Ready(upload.as_mut().poll(context))).await {
            return Some(outcome);
        }
        tokio::task::yield_now().await;
    }
    None
}

/// Whether a connection to this port of this machine is asked for and not there yet.
fn is_asked(port: u16) -> bool {
    let (address, asked) = (format!("0100007F:{port:04X}"), "02");
    let table = std::fs::read_to_string("/proc/net/tcp").unwrap();
    table.lines().any(|line| {
        let mut words = line.split_whitespace().skip(2);
        words.next() == Some(address.as_str()) && words.next() == Some(asked)
    })
}

fn content() -> UploadContent {
    UploadContent::Bytes(b"content".to_vec().into())
}

#[tokio::test]
async fn h15_a_part_that_nobody_takes_is_sent_five_times_for_two_minutes_each() {
    let hub = Hub::start(10).await;
    hub.script(PART, vec![Say::Stall; 6]);
    let (uploader, client) = (hub.uploader(UploadOptions::default()), hub.client());
    let _standing = Standing::begin();
    let mut upload = pin!(uploader.upload(&client, media("a", content())));
    let stall = Duration::from_secs(120);
    // The bounds of the waits that chance chooses from.
    let least = Duration::from_millis(500);
    for (attempt, most) in (1..).zip([1_500, 4_500, 13_500, 20_000]) {
        tokio::select! {
            outcome = &mut upload => panic!("attempt {attempt}: {outcome:?}"),
            seen = hub.arrivals(PART, attempt) => assert_eq!(seen.len(), attempt),
        }
        assert!(passes(&mut upload, stall - SLACK).await.is_none(), "attempt {attempt}");
        assert!(passes(&mut upload, 2 * SLACK).await.is_none(), "attempt {attempt}");
        assert!(passes(&mut upload, least - 2 * SLACK).await.is_none(), "attempt {attempt}");
        assert_eq!(hub.seen_of(PART).len(), attempt, "it comes again later");
        assert!(passes(&mut upload, Duration::from_millis(most) - least + 3 * SLACK).await.is_none());
    }
    tokio::select! {
        outcome = &mut upload => panic!("{outcome:?}"),
        _ = hub.arrivals(PART, 5) => {}
    }
    assert!(passes(&mut upload, stall - SLACK).await.is_none(), "the last attempt");
    tokio::time::advance(2 * SLACK).await;
    // The hub is told, and answers.
    let error = upload.await.unwrap_err();
    assert!(matches!(error, UploadError::Part { number: 1, .. }), "{error:?}");
    assert_eq!((error.failure(), hub.seen_of(PART).len()), (UploadFailure::Retryable, 5));
    assert_eq!(hub.seen_of("DELETE").len(), 1);
}

#[tokio::test]
async fn h15_a_part_waits_half_a_minute_for_its_connection() {
    // One connection waits to be accepted, and there is no room for another.
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let listener = socket.listen(0).unwrap();
    let address = listener.local_addr().unwrap();
    let _first = TcpStream::connect(address).await.unwrap();
    let hub = Hub::start(10).await;
    let urls = [format!("http://{address}/part/1?Signature=hush")];
    let create = json!({"upload_id": "u1", "part_urls": urls, "part_size": 10, "total_parts": 1});
    hub.script("POST /api/v1/media/acme/uploads", [Say::Json(200, create)]);
    let once = RetryPolicy { attempts: 1, ..RetryPolicy::PART };
    let (uploader, client) =
        (hub.uploader(UploadOptions { part_retry: once, ..UploadOptions::default() }), hub.client());
    let _standing = Standing::begin();
    let mut upload = pin!(uploader.upload(&client, media("a", content())));
    tokio::select! {
        outcome = &mut upload => panic!("{outcome:?}"),
        _ = hub.arrivals("POST", 1) => {}
    }
    // The answer is on its way, and then the connection.
    while !is_asked(address.port()) {
        assert!(passes(&mut upload, Duration::ZERO).await.is_none());
    }
    let connect = Duration::from_secs(30);
    assert!(passes(&mut upload, connect - SLACK).await.is_none(), "it waits");
    tokio::time::advance(2 * SLACK).await;
    let error = upload.await.unwrap_err();
    assert!(matches!(error, UploadError::Part { number: 1, .. }), "{error:?}");
}
