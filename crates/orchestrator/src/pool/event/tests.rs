use super::EventId;

#[test]
fn p11_event_ids_are_ordered_by_attempt_then_seq_and_round_trip() {
    let early = EventId { attempt: 1, seq: 9 };
    let late = EventId { attempt: 2, seq: 1 };
    assert!(early < late);
    assert_eq!("2-1".parse(), Ok(late));
    assert_eq!(late.to_string(), "2-1");
    for bad in ["", "1", "-1-2", "1-x", "1--2", "99999999999999999999-1"] {
        assert!(bad.parse::<EventId>().is_err(), "{bad}");
    }
}
