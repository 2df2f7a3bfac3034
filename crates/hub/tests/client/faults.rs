//! Servers that break off, lie, babble and fall silent.

use gen_worker_hub::{
    HubRef,
    api::{REPLY_BYTES_MAX, ReplyError},
    client::{HubError, HubFailure},
};

use crate::server::{Answer, Server, http};

async fn resolve(server: &Server) -> HubError {
    server.client().resolve(&HubRef::parse("o/r").unwrap()).await.unwrap_err()
}

async fn fault(answer: Answer) -> HubError {
    resolve(&Server::start(vec![answer]).await).await
}

#[tokio::test]
async fn h3_6_what_is_no_json_is_an_error() {
    for body in [&b"<html>Bad Gateway</html>"[..], b"{\"snapshot_digest\":", b"\xff\xfe\x00", b"nul", b"[1,2]", b""] {
        let error = fault(Answer::Raw(http(200, "", body))).await;
        assert!(matches!(error, HubError::Reply { .. }), "{error:?}");
        assert_eq!(error.class(), HubFailure::Fatal);
    }
    // Nested deeper than any stack.
    let deep = fault(Answer::Raw(http(200, "", "[".repeat(200_000).as_bytes()))).await;
    assert!(matches!(deep, HubError::Reply { source: ReplyError::Form { .. }, .. }), "{deep:?}");
}

#[tokio::test]
async fn h15_a_body_that_ends_early_is_a_lost_connection() {
    let mut bytes = http(200, "", &[b' '; 100]);
    bytes.truncate(bytes.len() - 1);
    for answer in [
        Answer::Raw(bytes),
        Answer::Raw(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab".to_vec()),
        Answer::Raw(b"HTTP/1.1 200 OK\r\nContent-Le".to_vec()),
        Answer::Raw(b"SSH-2.0-OpenSSH_9.9\r\n".to_vec()),
        Answer::Raw(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".to_vec()),
        Answer::Hangup,
    ] {
        let error = fault(answer).await;
        assert!(error.is_network() && error.class() == HubFailure::Retryable, "{error:?}");
    }
}

#[tokio::test]
async fn h15_a_server_that_is_not_there_is_a_lost_connection() {
    let server = Server::start(vec![Answer::Hangup]).await;
    let client = server.client();
    drop(server);
    // Whether the listener is gone by now or hangs up once more is the same to a client.
    let error = client.resolve(&HubRef::parse("o/r").unwrap()).await.unwrap_err();
    assert!(matches!(error, HubError::Transport { .. }), "{error:?}");
}

#[tokio::test]
async fn h15_an_announced_flood_is_refused_before_it_comes() {
    let length = REPLY_BYTES_MAX + 1;
    let error = fault(Answer::Raw(format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n{{").into_bytes())).await;
    assert!(matches!(error, HubError::TooLarge { .. }), "{error:?}");
}

#[tokio::test]
async fn h15_a_flood_that_is_not_announced_is_cut_off() {
    let mut flood = b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n".to_vec();
    flood.resize(flood.len() + REPLY_BYTES_MAX + 1, b' ');
    let error = fault(Answer::Raw(flood)).await;
    assert!(matches!(error, HubError::TooLarge { .. }), "{error:?}");
}

#[tokio::test]
async fn h15_a_silent_server_is_left_after_the_time_of_the_call() {
    for bytes in [&b""[..], b"HTTP/1.1 200 OK\r\nContent-Len", b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n{"] {
        let server = Server::start(vec![Answer::Stall(bytes.to_vec())]).await;
        // The clock stops once the silence has begun; then it jumps from timer to timer.
        let pause = async {
            server.stalled.notified().await;
            tokio::time::pause();
        };
        let (error, ()) = tokio::join!(resolve(&server), pause);
        assert!(matches!(error, HubError::Timeout { after, .. } if after.as_secs() == 60), "{error:?}");
        tokio::time::resume();
    }
}

#[tokio::test]
async fn a_call_that_is_dropped_leaves_nothing_behind() {
    let server = Server::start(vec![Answer::Stall(Vec::new())]).await;
    let client = server.client();
    let reference = HubRef::parse("o/r").unwrap();
    tokio::select! {
        _ = client.resolve(&reference) => panic!("the server answered"),
        () = server.stalled.notified() => {}
    }
    assert_eq!(server.lines().len(), 1);
}
