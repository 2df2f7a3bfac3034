use futures::{FutureExt, StreamExt};
use gen_worker_proto::pb::{Drain, scheduler_message::Msg};
use tonic::{Code, Status};

use super::{Full, ROOM_FLAT, outbound};

fn message() -> Msg {
    Msg::Drain(Drain { deadline_ms: 1 })
}

#[test]
fn a_worker_that_does_not_read_fills_its_stream() {
    let (mut sender, mut stream) = outbound();
    sender.make_room(2);
    for _ in 0..ROOM_FLAT + 8 {
        assert_eq!(sender.send(message()), Ok(()));
    }
    assert_eq!(sender.send(message()), Err(Full));
    sender.cut(Status::unavailable("worker does not read its stream"));
    let first = stream.next().now_or_never().flatten();
    assert_eq!(first.and_then(Result::err).map(|status| status.code()), Some(Code::Unavailable), "a cut is at once");
    assert!(matches!(stream.next().now_or_never(), Some(None)));
}

#[test]
fn o18_a_dropped_sender_ends_the_stream_with_ok_after_what_is_queued() {
    let (sender, mut stream) = outbound();
    let over = sender.over();
    assert_eq!(sender.send(message()), Ok(()));
    assert!(!over.is_cancelled());
    drop(sender);
    assert!(over.is_cancelled());
    assert!(matches!(stream.next().now_or_never(), Some(Some(Ok(_)))));
    assert!(matches!(stream.next().now_or_never(), Some(None)));
}
