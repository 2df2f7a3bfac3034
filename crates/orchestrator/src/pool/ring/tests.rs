use bytes::Bytes;

use super::Ring;
use crate::pool::event::{Event, EventId};

fn push(ring: &mut Ring, attempt: i64, size: usize) {
    let id = ring.next_id(attempt);
    ring.push(Event::Chunk { id, content_type: "text/plain".into(), data: Bytes::from(vec![0; size]) });
}

fn replayed(ring: &Ring, after: Option<EventId>) -> (u64, Vec<String>) {
    let mut lost = 0;
    let mut ids = Vec::new();
    for event in ring.replay(after) {
        match event {
            Event::Gap { lost: n } => lost += n,
            other => ids.push(other.id().expect("has an id").to_string()),
        }
    }
    (lost, ids)
}

#[test]
fn p12_a_reader_gets_what_came_after_its_last_event() {
    let mut ring = Ring::default();
    push(&mut ring, 1, 1);
    push(&mut ring, 1, 1);
    push(&mut ring, 2, 1);
    assert_eq!(replayed(&ring, None), (0, vec!["1-1".into(), "1-2".into(), "2-1".into()]));
    assert_eq!(replayed(&ring, Some(EventId { attempt: 1, seq: 1 })), (0, vec!["1-2".into(), "2-1".into()]));
    assert_eq!(replayed(&ring, Some(EventId { attempt: 9, seq: 9 })), (0, vec![]));
}

#[test]
fn p12_what_is_gone_is_a_gap_with_its_count() {
    let mut ring = Ring::default();
    for _ in 0..1_005 {
        push(&mut ring, 1, 1);
    }
    let (lost, ids) = replayed(&ring, None);
    assert_eq!((lost, ids.len(), ids[0].as_str()), (5, 1_000, "1-6"));
    assert_eq!(replayed(&ring, Some(EventId { attempt: 1, seq: 3 })).0, 2);
    assert_eq!(replayed(&ring, Some(EventId { attempt: 1, seq: 5 })).0, 0);
}

#[test]
fn p12_the_ring_is_bounded_in_bytes() {
    let mut ring = Ring::default();
    for _ in 0..10 {
        push(&mut ring, 1, 300_000);
    }
    assert_eq!(replayed(&ring, None), (7, vec!["1-8".into(), "1-9".into(), "1-10".into()]));
    assert!(ring.bytes() <= 1024 * 1024);
}
