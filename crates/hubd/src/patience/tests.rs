use std::time::Duration;

use futures::{StreamExt as _, stream};
use http_body_util::{BodyExt as _, StreamBody};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _, duplex},
    time::{Instant, sleep},
};

use super::*;

const LIMIT: Duration = Duration::from_secs(60);

#[tokio::test(start_paused = true)]
async fn a_client_that_reads_nothing_is_cut_off_after_the_limit() {
    let (_client, server) = duplex(16);
    let begun = Instant::now();
    let error = PatientSocket::new(server, LIMIT).write_all(&[0; 17]).await.unwrap_err();
    assert_eq!((error.kind(), begun.elapsed()), (io::ErrorKind::TimedOut, LIMIT));
    assert!(Stalled::is_in(error.get_ref().unwrap()));
}

#[tokio::test(start_paused = true)]
async fn a_client_that_reads_slowly_keeps_its_connection() {
    let (mut client, server) = duplex(1);
    let mut server = PatientSocket::new(server, LIMIT);
    let read = async {
        for _ in 0..8 {
            sleep(LIMIT - Duration::from_secs(1)).await;
            client.read_u8().await.unwrap();
        }
    };
    let (written, ()) = tokio::join!(server.write_all(&[0; 8]), read);
    written.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_body_is_timed_only_while_someone_waits_for_it() {
    let pieces = stream::iter([1_u8, 2]).then(|byte| async move {
        sleep(LIMIT - Duration::from_secs(1)).await;
        Ok::<_, io::Error>(Frame::data(Bytes::copy_from_slice(&[byte])))
    });
    let mut body = PatientBody::new(StreamBody::new(pieces.chain(stream::pending()).boxed()), LIMIT);
    for _ in 0..2 {
        assert!(body.frame().await.unwrap().is_ok());
        sleep(3 * LIMIT).await;
    }
    let begun = Instant::now();
    let error = body.frame().await.unwrap().unwrap_err();
    assert!(Stalled::is_in(error.as_ref()));
    assert_eq!(begun.elapsed(), LIMIT);
}
