//! Section 4 without a connection: what is lost, what never is, and what is queued again.
use std::collections::VecDeque;

use gen_worker_proto::{Pair, pb::JobStatus, pb::worker_message::Msg};
use proptest::prelude::*;

use super::{EndOutput, JobEnd, Outbox, Outgoing, Progress, Pushed};

fn pair(id: u32) -> Pair {
    Pair::parse(id.to_string(), 1).expect("a pair")
}

fn result(id: u32) -> Outgoing {
    Outgoing::Result(JobEnd {
        pair: pair(id),
        status: JobStatus::Ok,
        output: EndOutput::None,
        message: String::new(),
        metrics: None,
        record: None,
    })
}

fn progress(id: u32, seq: i64) -> Outgoing {
    Outgoing::Progress(Progress { pair: pair(id), seq, content_type: "text/plain", data: Default::default() })
}

fn accepted(id: u32, repeated: bool) -> Outgoing {
    Outgoing::Accepted { pair: pair(id), repeated }
}

fn take(outbox: &mut Outbox, entries: usize) -> Vec<Outgoing> {
    let mut taken = VecDeque::new();
    outbox.take(entries, &mut taken);
    taken.into()
}

fn pending(outbox: &Outbox) -> Vec<Pair> {
    outbox.pending().cloned().collect()
}

#[test]
fn c32_a_full_queue_loses_the_oldest_progress_only() {
    let mut outbox = Outbox::new(2);
    outbox.push(accepted(1, false));
    assert_eq!(outbox.push(progress(1, 1)), Pushed::Queued);
    assert_eq!(outbox.push(progress(1, 2)), Pushed::Replaced);
    assert_eq!(outbox.push(result(1)), Pushed::Queued, "results are exempt");
    assert_eq!(outbox.push(accepted(2, false)), Pushed::Replaced);
    assert_eq!(outbox.push(progress(2, 1)), Pushed::Dropped, "no progress is left to lose");
    assert_eq!(outbox.push(accepted(2, true)), Pushed::Dropped, "the orchestrator asks again");
    assert_eq!(outbox.push(accepted(3, false)), Pushed::Queued, "the receive loop is never refused");
    assert_eq!(take(&mut outbox, 9), [accepted(1, false), result(1), accepted(2, false), accepted(3, false)]);
}

#[test]
fn w18_results_stay_pending_until_written() {
    let mut outbox = Outbox::new(8);
    outbox.push(accepted(1, false));
    outbox.push(result(1));
    assert_eq!(pending(&outbox), [pair(1)]);
    take(&mut outbox, 9);
    outbox.asked(0, 0);
    assert_eq!(pending(&outbox), [pair(1)], "handed over is not written");
    outbox.parked(0);
    outbox.asked(1, 1);
    assert_eq!(pending(&outbox), [pair(1)], "that flush may have begun before the transport had it to write");
    outbox.asked(2, 2);
    assert_eq!(pending(&outbox), [pair(1)], "and so may one that ended after the transport asked again");
    outbox.asked(3, 3);
    assert_eq!(pending(&outbox), [], "taken, asked for more, flushed twice since");
}

#[test]
fn w18_a_stream_of_results_is_forgotten_while_it_goes_on() {
    let mut outbox = Outbox::new(8);
    let mut most = 0;
    for flushes in 0..10_000 {
        outbox.asked(flushes, flushes);
        outbox.push(result(1));
        take(&mut outbox, 9);
        outbox.parked(flushes);
        most = most.max(outbox.unwritten.len());
    }
    assert!(most <= 8, "{most} results are held though the stream is written all the time");
}

#[test]
fn c32_progress_is_bounded_in_bytes_too() {
    let large = |seq| {
        let data = vec![0; super::PROGRESS_BYTES_MAX / 4].into();
        Outgoing::Progress(Progress { pair: pair(1), seq, content_type: "text/plain", data })
    };
    let mut outbox = Outbox::new(100);
    for seq in 1..=4 {
        assert!(outbox.has_room());
        assert_eq!(outbox.push(large(seq)), Pushed::Queued);
    }
    assert!(!outbox.has_room(), "producers wait while there is a connection");
    outbox.push(result(1));
    assert_eq!(outbox.push(large(5)), Pushed::Replaced, "and lose the oldest while there is none");
    let seqs: Vec<_> = take(&mut outbox, 9)
        .iter()
        .map(|message| if let Outgoing::Progress(progress) = message { progress.seq } else { 0 })
        .collect();
    assert_eq!(seqs, [2, 3, 4, 0, 5]);
    assert!(outbox.has_room() && outbox.is_relaxed());
}

#[test]
fn w18_a_break_brings_results_back_first_and_drops_the_rest() {
    let mut outbox = Outbox::new(8);
    outbox.push(result(1));
    take(&mut outbox, 9);
    outbox.push(accepted(2, false));
    outbox.push(progress(2, 1));
    outbox.push(result(2));
    assert_eq!(outbox.disconnected(0), 2);
    outbox.push(progress(3, 1));
    assert_eq!(take(&mut outbox, 9), [result(1), result(2), progress(3, 1)]);
}

#[test]
fn w10_what_is_queued_for_a_superseded_pair_is_withdrawn() {
    let mut outbox = Outbox::new(8);
    for message in [accepted(1, false), progress(1, 1), result(1), result(2)] {
        outbox.push(message);
    }
    outbox.withdraw(|queued| *queued == pair(1));
    assert_eq!(take(&mut outbox, 9), [result(2)]);
    assert!(outbox.has_room());
}

#[test]
fn other_messages_count_but_are_kept() {
    let mut outbox = Outbox::new(1);
    let state = || Outgoing::from(Msg::StateDelta(Default::default()));
    outbox.push(state());
    assert_eq!(outbox.push(state()), Pushed::Queued);
    assert!(!outbox.has_room());
    take(&mut outbox, 1);
    assert!(!outbox.has_room());
    take(&mut outbox, 1);
    assert!(outbox.has_room() && outbox.is_empty());
}

proptest! {
    #[test]
    fn every_result_arrives_and_order_holds(
        steps in proptest::collection::vec((0..6_u8, 0..4_usize), 0..200),
        entries_max in 1..6_usize,
    ) {
        let mut outbox = Outbox::new(entries_max);
        let (mut next, mut flushes) = (0_u32, 0_u64);
        let mut written: Vec<u32> = Vec::new();
        // What the current connection took; a flush writes it.
        let mut in_transport = Vec::new();
        let ids = |taken: &[Outgoing]| -> Vec<u32> {
            let results = taken.iter().filter(|message| matches!(message, Outgoing::Result(_)));
            results.filter_map(|message| message.pair()?.request_id.as_str().parse().ok()).collect()
        };
        for (kind, amount) in steps {
            match kind {
                0 => { next += 1; outbox.push(result(next)); }
                1 => { outbox.push(progress(next, 1)); }
                2 => { outbox.push(accepted(next, false)); }
                3 => {
                    outbox.asked(flushes, flushes);
                    in_transport.extend(ids(&take(&mut outbox, amount)));
                    outbox.parked(flushes);
                }
                4 => {
                    flushes += 1;
                    written.append(&mut in_transport);
                }
                _ => {
                    outbox.disconnected(flushes);
                    in_transport.clear();
                }
            }
            prop_assert!(outbox.progress <= outbox.bounded);
            let pending: Vec<u32> = pending(&outbox).iter().filter_map(|p| p.request_id.as_str().parse().ok()).collect();
            prop_assert!(pending.is_sorted(), "in the order they ended");
            for id in 1..=next {
                prop_assert!(written.contains(&id) || pending.contains(&id), "result {} is neither", id);
            }
        }
    }
}
