//! What only a real connection shows: refusals of large bodies, disconnects, streams, shutdown.

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};

use super::harness::{Service, dev};
use crate::api;

impl Service {
    /// Serves on a port of its own.
    async fn listen(&self) -> std::net::SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (handle, cancel) = (self.handle.clone(), self.scope.cancel().clone());
        self.scope.spawn("http", async move { api::serve(listener, handle, dev(), &cancel).await });
        address
    }
}

/// Reads until `text` was seen.
async fn read_until(stream: &mut TcpStream, text: &str) -> String {
    let mut seen = Vec::new();
    loop {
        let mut buffer = [0; 4096];
        let read = stream.read(&mut buffer).await.unwrap();
        seen.extend_from_slice(&buffer[..read]);
        let so_far = String::from_utf8_lossy(&seen);
        if so_far.contains(text) {
            return so_far.into_owned();
        }
        assert!(read > 0, "closed before {text:?}: {so_far}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn p3_a_10_mb_body_gets_its_413_and_the_connection_goes_on() {
    let service = Service::start().await;
    let mut stream = TcpStream::connect(service.listen().await).await.unwrap();
    let body = vec![b' '; 10_000_000];
    let head = format!("POST /v1/run/embed HTTP/1.1\r\nhost: localhost\r\ncontent-length: {}\r\n\r\n", body.len());
    stream.write_all(head.as_bytes()).await.unwrap();
    // All of it is sent before anything is read, as simple clients do.
    stream.write_all(&body).await.unwrap();
    let reply = read_until(&mut stream, "8388608").await;
    assert!(reply.starts_with("HTTP/1.1 413 "), "{reply}");
    stream.write_all(b"GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n").await.unwrap();
    assert!(read_until(&mut stream, "{\"status\":\"ok\"}").await.contains("HTTP/1.1 200 "));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_caller_of_run_that_vanishes_cancels_its_request() {
    let service = Service::with_worker().await;
    let address = service.listen().await;
    for accept in ["*/*", "text/event-stream"] {
        let mut stream = TcpStream::connect(address).await.unwrap();
        let head = format!(
            "POST /v1/run/hold HTTP/1.1\r\nhost: localhost\r\naccept: {accept}\r\ncontent-length: 2\r\n\r\n{{}}"
        );
        stream.write_all(head.as_bytes()).await.unwrap();
        let id = loop {
            let running = service.get("/v1/requests?state=running").await.json();
            if let Some(id) = running["items"][0]["id"].as_str() {
                break id.to_owned();
            }
            tokio::task::yield_now().await;
        };
        drop(stream);
        let ended = service.get(&format!("/v1/requests/{id}?wait_ms=60000")).await.json();
        assert_eq!(ended["state"], "canceled", "{accept}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_caller_may_leave_its_request_behind() {
    let service = Service::with_worker().await;
    let mut stream = TcpStream::connect(service.listen().await).await.unwrap();
    let head = "POST /v1/run/hold?cancel_on_disconnect=false HTTP/1.1\r\nhost: localhost\r\naccept: text/event-stream\r\n\
        content-length: 2\r\n\r\n{}";
    stream.write_all(head.as_bytes()).await.unwrap();
    read_until(&mut stream, "\"state\":\"running\"").await;
    drop(stream);
    let seen = service.get("/v1/requests?state=running").await.json();
    let id = seen["items"][0]["id"].as_str().unwrap().to_owned();
    let seen = service.get(&format!("/v1/requests/{id}?wait_ms=200")).await.json();
    assert_eq!(seen["state"], "running");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn p10_events_arrive_while_the_request_runs() {
    let service = Service::with_worker().await;
    let mut stream = TcpStream::connect(service.listen().await).await.unwrap();
    let id = service.submit("hold").await;
    let head = format!("GET /v1/requests/{id}/events HTTP/1.1\r\nhost: localhost\r\n\r\n");
    stream.write_all(head.as_bytes()).await.unwrap();
    let start = read_until(&mut stream, "\"state\":\"running\"").await;
    assert!(start.contains("content-type: text/event-stream"), "{start}");
    service.post(&format!("/v1/requests/{id}/cancel"), "").await;
    let end = read_until(&mut stream, "event: error").await;
    assert!(!end.contains("event: result"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_closes_the_port_and_finishes_replies() {
    let service = Service::with_worker().await;
    let address = service.listen().await;
    let mut idle = TcpStream::connect(address).await.unwrap();
    idle.write_all(b"GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n").await.unwrap();
    read_until(&mut idle, "ok").await;
    service.scope.cancel().stop();
    assert_eq!(idle.read(&mut [0; 16]).await.unwrap(), 0);
}
