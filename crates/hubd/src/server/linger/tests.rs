use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _, duplex},
    time::Instant,
};

use super::*;

const STALL: Duration = Duration::from_secs(60);
const SECOND: Duration = Duration::from_secs(1);

/// A socket that has something unread, and its client.
fn early() -> (tokio::io::DuplexStream, Lingering<tokio::io::DuplexStream>) {
    let (client, server) = duplex(16);
    (client, Lingering::new(server, Unread::some(), STALL))
}

#[tokio::test(start_paused = true)]
async fn a_socket_with_nothing_unread_ends_at_once() {
    let (mut client, server) = duplex(16);
    client.write_all(&[0; 16]).await.unwrap();
    let begun = Instant::now();
    Lingering::new(server, Unread::default(), STALL).shutdown().await.unwrap();
    assert_eq!(begun.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn the_client_sees_the_end_sends_the_rest_and_closes() {
    let (mut client, mut server) = early();
    let sends = async {
        // More than there is room for: somebody takes it.
        client.write_all(&[0; 1_000]).await.unwrap();
        assert_eq!(client.read(&mut [0]).await.unwrap(), 0);
        drop(client);
    };
    let begun = Instant::now();
    let (ended, ()) = tokio::join!(server.shutdown(), sends);
    ended.unwrap();
    assert_eq!(begun.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_sends_nothing_is_let_go() {
    for stall in [STALL, SECOND] {
        let (_client, server) = duplex(16);
        let begun = Instant::now();
        Lingering::new(server, Unread::some(), stall).shutdown().await.unwrap();
        assert_eq!(begun.elapsed(), stall.min(SILENCE));
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_that_does_not_stop_is_let_go() {
    let (mut client, mut server) = early();
    let begun = Instant::now();
    let sends = async {
        loop {
            sleep(SILENCE - SECOND).await;
            if client.write_all(&[0; 100]).await.is_err() {
                break;
            }
        }
    };
    tokio::select! {
        ended = server.shutdown() => ended.unwrap(),
        () = sends => panic!("it was closed"),
    }
    assert_eq!(begun.elapsed(), TIME);
}
