use bytes::Bytes;
use futures::{FutureExt, StreamExt};

use super::{BUFFER_EVENTS_MAX, subscription};
use crate::pool::event::{Event, EventId};

fn chunk(seq: i64, size: usize) -> Event {
    Event::Chunk {
        id: EventId { attempt: 1, seq },
        content_type: "text/plain".into(),
        data: Bytes::from(vec![b'x'; size]),
    }
}

fn next(subscription: &mut super::Subscription) -> Option<Event> {
    subscription.next().now_or_never().flatten()
}

#[test]
fn p13_a_slow_reader_loses_its_oldest_events_as_one_gap() {
    let (publisher, mut reader) = subscription();
    let sent = i64::try_from(BUFFER_EVENTS_MAX).expect("small") + 5;
    for seq in 1..=sent {
        assert!(publisher.publish(chunk(seq, 1)));
    }
    assert!(matches!(next(&mut reader), Some(Event::Gap { lost: 5 })));
    assert_eq!(next(&mut reader).and_then(|event| event.id()), Some(EventId { attempt: 1, seq: 6 }));
}

#[test]
fn p13_a_slow_reader_is_bounded_in_bytes_too() {
    let (publisher, mut reader) = subscription();
    for seq in 1..=8 {
        publisher.publish(chunk(seq, 300_000));
    }
    assert!(matches!(next(&mut reader), Some(Event::Gap { lost: 5 })));
    assert_eq!(next(&mut reader).and_then(|event| event.id()).map(|id| id.seq), Some(6));
}

#[test]
fn a_dropped_reader_tells_the_publisher_and_a_dropped_publisher_ends_the_stream() {
    let (publisher, reader) = subscription();
    drop(reader);
    assert!(!publisher.publish(chunk(1, 1)));

    let (publisher, mut reader) = subscription();
    publisher.publish(chunk(1, 1));
    drop(publisher);
    assert!(next(&mut reader).is_some());
    assert!(matches!(reader.next().now_or_never(), Some(None)));
}
