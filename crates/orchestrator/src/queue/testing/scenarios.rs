//! The scenarios of the suite: each says one thing of the contract.

use std::sync::Arc;

use bytes::Bytes;
use futures::future::join_all;

use super::{
    Draft, assign, failure, finish, finish_with, function, give_back, placement, request_id, requeue, start, succeeded,
    unsuccessful,
};
use crate::{
    queue::{Applied, Change, Enqueued, Filter, Queue, QueueError},
    request::{Ending, NewRequest, Output, Request, State, UnixMs},
};

type Store = Arc<dyn Queue>;

pub(super) async fn a_request_comes_back_as_it_was(queue: Store) {
    let large = Bytes::from(vec![0xA5; 3 * 1024 * 1024]);
    let drafts = [Draft::new("plain"), Draft::new("rich").rich(), Draft::new("empty").payload(Bytes::new())];
    let mut sent: Vec<_> = drafts.into_iter().map(Draft::build).collect();
    sent.push(Draft::new("large").payload(large).build());
    let created = queue.enqueue(sent.clone()).await.expect("a fresh queue takes requests");
    assert_eq!(created.len(), sent.len());
    let mut last = 0;
    for (request, outcome) in sent.iter().zip(created) {
        let Enqueued::Created(created) = outcome else { panic!("{outcome:?}") };
        assert!(created.sequence > last, "sequences increase");
        last = created.sequence;
        let stored = get(&queue, request.id.as_str()).await;
        for seen in [&*created, &stored] {
            same(&seen.submitted, request);
            assert_eq!((seen.state, seen.attempt.0, seen.sequence), (State::Queued, 0, created.sequence));
            assert!(seen.worker_id.is_none() && seen.assigned_at.is_none() && seen.started_at.is_none());
            assert!(seen.attempts.is_empty() && seen.ending.is_none());
        }
    }
    assert!(queue.get(request_id("nobody")).await.expect("reading works").is_none());
    assert!(queue.enqueue(Vec::new()).await.expect("an empty batch is fine").is_empty());
    assert!(queue.apply(Vec::new()).await.expect("an empty batch is fine").is_empty());
}

pub(super) async fn ids_are_idempotent(queue: Store) {
    enqueue(&queue, &["a"]).await;
    apply(&queue, assign("a", 1), Applied::Done).await;
    let batch = vec![
        Draft::new("a").build(),
        Draft::new("a").digest(8).build(),
        Draft::new("a").tenant("other").build(),
        Draft::new("b").build(),
        Draft::new("b").build(),
    ];
    let outcomes = queue.enqueue(batch).await.expect("one result per entry");
    let [
        Enqueued::Existing(a),
        Enqueued::Conflict,
        Enqueued::Conflict,
        Enqueued::Created(b),
        Enqueued::Existing(again),
    ] = outcomes.as_slice()
    else {
        panic!("{outcomes:?}")
    };
    assert_eq!((a.state, a.attempt.0), (State::Assigned, 1));
    assert_eq!(a.submitted.payload, Draft::new("a").build().payload);
    assert_eq!(b.sequence, again.sequence);

    apply(&queue, finish("a", 1), Applied::Done).await;
    let outcomes = queue.enqueue(vec![Draft::new("a").build(), Draft::new("a").digest(8).build()]).await;
    let outcomes = outcomes.expect("ended ids are known too");
    let [Enqueued::Existing(a), Enqueued::Conflict] = outcomes.as_slice() else { panic!("{outcomes:?}") };
    assert_eq!(a.state, State::Succeeded);
    assert_eq!(a.submitted.payload, Draft::new("a").build().payload, "the payload is kept");
}

pub(super) async fn a_life_ends_once(queue: Store) {
    enqueue(&queue, &["a"]).await;
    apply(&queue, assign("a", 1), Applied::Done).await;
    let seen = get(&queue, "a").await;
    assert_eq!((seen.state, seen.attempt.0, seen.worker_id.as_deref()), (State::Assigned, 1, Some("w1")));
    assert_eq!((seen.assigned_at, seen.started_at), (Some(UnixMs(10)), None));
    apply(&queue, start("a", 1), Applied::Done).await;
    let later = Change::Start { pair: super::pair("a", 1), at: UnixMs(99) };
    apply(&queue, later, Applied::Done).await;
    let seen = get(&queue, "a").await;
    assert_eq!((seen.state, seen.started_at), (State::Running, Some(UnixMs(11))), "the first start stands");
    apply(&queue, finish("a", 1), Applied::Done).await;
    let ended = get(&queue, "a").await;
    assert_eq!((ended.state, ended.ending.as_ref()), (State::Succeeded, Some(&succeeded(1))));
    assert_eq!((ended.worker_id.as_deref(), ended.started_at), (Some("w1"), Some(UnixMs(11))));
    for change in [assign("a", 2), start("a", 1), requeue("a", 1), finish("a", 1), finish("a", 2)] {
        apply(&queue, change, Applied::Stale).await;
    }
    apply(&queue, finish_with("a", 1, unsuccessful(State::Canceled)), Applied::Stale).await;
    assert_eq!(get(&queue, "a").await.ending, ended.ending);
    apply(&queue, assign("nobody", 1), Applied::Stale).await;
}

/// Every change at every distance from the stored attempt, in every live state.
pub(super) async fn fencing_table(factory: &impl AsyncFn() -> Store) {
    // The stored attempt is 2, unless the request was never assigned.
    let states: [(&str, Vec<Change>, i64); 4] = [
        ("fresh", vec![], 0),
        ("queued", vec![assign("a", 2), requeue("a", 2)], 2),
        ("assigned", vec![assign("a", 2)], 2),
        ("running", vec![assign("a", 2), start("a", 2)], 2),
    ];
    for (state, path, stored) in states {
        for (distance, name, admitted) in [
            (-1, "assign", false),
            (0, "assign", false),
            (1, "assign", true),
            (3, "assign", true),
            (-1, "start", false),
            (0, "start", matches!(state, "assigned" | "running")),
            (1, "start", false),
            (-1, "requeue", false),
            (0, "requeue", matches!(state, "assigned" | "running")),
            (1, "requeue", true),
            (-1, "finish", false),
            (0, "finish", true),
            (1, "finish", true),
            (0, "unended", false),
            (1, "unended", false),
        ] {
            let queue = factory().await;
            enqueue(&queue, &["a"]).await;
            for change in path.clone() {
                apply(&queue, change, Applied::Done).await;
            }
            let attempt = stored + distance;
            let change = match name {
                "assign" => assign("a", attempt),
                "start" => start("a", attempt),
                "requeue" => requeue("a", attempt),
                "finish" => finish("a", attempt),
                _ => finish_with("a", attempt, Ending { state: State::Running, ..succeeded(1) }),
            };
            let before = format!("{:?}", get(&queue, "a").await);
            let outcome = queue.apply(vec![change]).await.expect("fencing is not a failure");
            let expected = if admitted { Applied::Done } else { Applied::Stale };
            assert_eq!(outcome, [expected], "{name} at {distance:+} of {state}");
            if !admitted {
                assert_eq!(format!("{:?}", get(&queue, "a").await), before, "{name} at {distance:+} of {state}");
            }
            queue.close().await.expect("closing works");
        }
    }
}

pub(super) async fn requeues_keep_failures_in_order(queue: Store) {
    enqueue(&queue, &["a"]).await;
    let batch = vec![
        assign("a", 1),
        requeue("a", 1),
        assign("a", 2),
        start("a", 2),
        give_back("a", 2),
        assign("a", 3),
        requeue("a", 3),
        requeue("a", 3),
    ];
    let outcomes = queue.apply(batch).await.expect("one result per entry");
    let (last, others) = outcomes.split_last().expect("one result per entry");
    assert!(others.iter().all(|outcome| *outcome == Applied::Done), "{others:?}");
    assert_eq!(*last, Applied::Stale, "an attempt fails once");
    let seen = get(&queue, "a").await;
    assert_eq!((seen.state, seen.attempt.0), (State::Queued, 3));
    assert_eq!(seen.attempts, [failure(1), failure(3)]);
    apply(&queue, finish_with("a", 3, unsuccessful(State::Canceled)), Applied::Done).await;
    let ended = get(&queue, "a").await;
    assert_eq!(ended.attempts, [failure(1), failure(3)], "a queued request can be canceled");
    assert_eq!(ended.worker_id.as_deref(), Some("w3"));
}

pub(super) async fn endings_come_back_as_they_were(queue: Store) {
    let blob = Ending { output: Some(Output::Blob("file-1".to_owned())), ..succeeded(1) };
    let empty = Ending { output: Some(Output::Inline(Bytes::new())), metrics: None, ..succeeded(1) };
    let none = Ending { output: None, ..succeeded(1) };
    let mut odd = succeeded(1);
    odd.timings.run_ms = f64::INFINITY;
    let endings = [succeeded(1), blob, empty, none, odd, unsuccessful(State::Failed), unsuccessful(State::Canceled)];
    for (index, ending) in endings.into_iter().enumerate() {
        let id = format!("r{index}");
        enqueue(&queue, &[&id]).await;
        apply(&queue, finish_with(&id, 0, ending.clone()), Applied::Done).await;
        let seen = get(&queue, &id).await;
        assert_eq!((seen.state, seen.ending.as_ref()), (ending.state, Some(&ending)));
    }
}

pub(super) async fn a_raise_forgets_the_attempt_before(queue: Store) {
    enqueue(&queue, &["a", "b"]).await;
    for id in ["a", "b"] {
        apply(&queue, assign(id, 1), Applied::Done).await;
        apply(&queue, start(id, 1), Applied::Done).await;
    }
    apply(&queue, requeue("a", 2), Applied::Done).await;
    apply(&queue, finish("b", 2), Applied::Done).await;
    for id in ["a", "b"] {
        let seen = get(&queue, id).await;
        assert_eq!(seen.attempt.0, 2);
        assert!(seen.worker_id.is_none() && seen.assigned_at.is_none() && seen.started_at.is_none(), "{seen:?}");
    }
}

pub(super) async fn placements_are_taken_over(queue: Store) {
    enqueue(&queue, &["a"]).await;
    let ending = Ending { placement: Some(placement("w9")), ..succeeded(1) };
    apply(&queue, finish_with("a", 1, ending), Applied::Done).await;
    let seen = get(&queue, "a").await;
    assert_eq!((seen.worker_id.as_deref(), seen.attempt.0), (Some("w9"), 1));
    assert_eq!((seen.assigned_at, seen.started_at), (Some(UnixMs(101)), Some(UnixMs(102))));
    assert_eq!(seen.ending.as_ref(), Some(&succeeded(1)));
}

pub(super) async fn listing_is_newest_first_and_stable(queue: Store) {
    let ids: Vec<String> = (0..7).map(|index| format!("r{index}")).collect();
    for id in &ids {
        enqueue(&queue, &[id]).await;
    }
    apply(&queue, finish("r3", 0), Applied::Done).await;
    let mut seen = Vec::new();
    let mut before_sequence = None;
    loop {
        let page = queue.list(Filter { before_sequence, limit: 3, ..Filter::default() }).await.expect("listing works");
        let Some(last) = page.last() else { break };
        assert!(page.iter().all(|request| request.submitted.payload.is_empty()), "a page has no payloads");
        before_sequence = Some(last.sequence);
        seen.extend(page.iter().map(|request| request.submitted.id.as_str().to_owned()));
        // What comes in or changes between two pages neither repeats nor hides a row.
        enqueue(&queue, &[&format!("late{}", seen.len())]).await;
        apply(&queue, assign("r0", i64::try_from(seen.len()).expect("it is small")), Applied::Done).await;
    }
    let newest_first: Vec<String> = ids.into_iter().rev().collect();
    assert_eq!(seen, newest_first);
}

pub(super) async fn listing_filters(queue: Store) {
    let batch = vec![
        Draft::new("a").created_at(10).build(),
        Draft::new("b").created_at(30).function("other").build(),
        // A clock that went back.
        Draft::new("c").created_at(20).tenant("t2").build(),
        Draft::new("d").created_at(40).tenant("t2").function("other").build(),
        Draft::new("e").created_at(50).build(),
    ];
    queue.enqueue(batch).await.expect("a fresh queue takes requests");
    apply(&queue, assign("a", 1), Applied::Done).await;
    apply(&queue, finish("b", 0), Applied::Done).await;
    apply(&queue, finish_with("d", 0, unsuccessful(State::Failed)), Applied::Done).await;
    apply(&queue, finish_with("e", 0, unsuccessful(State::Canceled)), Applied::Done).await;
    let all = || Filter { limit: 100, ..Filter::default() };
    let tenant = |name: &str| Filter { tenant: Some(name.to_owned()), ..all() };
    let state = |state| Filter { state: Some(state), ..all() };
    let since = |ms| Filter { since: Some(UnixMs(ms)), ..all() };
    let other = || Some(function("other"));
    for (filter, expected) in [
        (all(), "edcba"),
        (Filter { limit: 2, ..all() }, "ed"),
        (Filter { limit: 0, ..all() }, "e"),
        (tenant("dev"), "eba"),
        (tenant("t2"), "dc"),
        (tenant("nobody"), ""),
        (Filter { function: other(), ..all() }, "db"),
        (Filter { function: other(), ..tenant("t2") }, "d"),
        (state(State::Queued), "c"),
        (state(State::Assigned), "a"),
        (state(State::Running), ""),
        (state(State::Succeeded), "b"),
        (state(State::Failed), "d"),
        (state(State::Canceled), "e"),
        (Filter { tenant: Some("t2".to_owned()), ..state(State::Failed) }, "d"),
        (Filter { function: Some(function("echo")), ..state(State::Failed) }, ""),
        (Filter { since: Some(UnixMs(15)), ..state(State::Queued) }, "c"),
        (Filter { since: Some(UnixMs(45)), ..state(State::Failed) }, ""),
        (since(i64::MIN), "edcba"),
        (since(10), "edcba"),
        (since(11), "edcb"),
        (since(20), "edcb"),
        (since(25), "edb"),
        (since(31), "ed"),
        (since(51), ""),
        (Filter { since: Some(UnixMs(20)), ..tenant("t2") }, "dc"),
    ] {
        let page = queue.list(filter.clone()).await.expect("listing works");
        let ids: String = page.iter().map(|request| request.submitted.id.as_str()).collect();
        assert_eq!(ids, expected, "{filter:?}");
    }
}

pub(super) async fn unfinished_is_oldest_first_and_paged(queue: Store) {
    enqueue(&queue, &["a", "b", "c", "d"]).await;
    apply(&queue, assign("a", 1), Applied::Done).await;
    apply(&queue, finish("b", 0), Applied::Done).await;
    let first = queue.unfinished(0, 2).await.expect("reading works");
    let ids =
        |page: &[Request]| page.iter().map(|request| request.submitted.id.as_str().to_owned()).collect::<String>();
    assert_eq!(ids(&first), "ac");
    assert!(first.iter().all(|request| !request.submitted.payload.is_empty()), "with payloads");
    let after = first.last().expect("two rows").sequence;
    let second = queue.unfinished(after, 2).await.expect("reading works");
    assert_eq!(ids(&second), "d");
    let after = second.last().expect("one row").sequence;
    assert!(queue.unfinished(after, 2).await.expect("reading works").is_empty());
    assert!(queue.unfinished(0, 0).await.expect("reading works").is_empty());
}

pub(super) async fn functions_are_remembered(queue: Store) {
    assert!(queue.known_functions().await.expect("reading works").is_empty());
    queue.remember_functions(vec![function("b"), function("a")]).await.expect("writing works");
    queue.remember_functions(vec![function("b"), function("c")]).await.expect("repeating works");
    let mut known = queue.known_functions().await.expect("reading works");
    known.sort();
    assert_eq!(known, [function("a"), function("b"), function("c")]);
}

pub(super) async fn lazy_changes_come_before_later_batches(queue: Store) {
    enqueue(&queue, &["a"]).await;
    queue.apply_lazily(vec![assign("a", 1)]);
    queue.apply_lazily(vec![start("a", 1), start("a", 7)]);
    apply(&queue, requeue("a", 1), Applied::Done).await;
    let seen = get(&queue, "a").await;
    assert_eq!((seen.state, seen.attempt.0), (State::Queued, 1));
    assert_eq!((seen.worker_id.as_deref(), seen.started_at), (Some("w1"), Some(UnixMs(11))));
}

pub(super) async fn concurrent_callers_are_all_answered(queue: Store) {
    let callers = (0..200).map(|index| {
        let queue = queue.clone();
        async move {
            let id = format!("r{index}");
            enqueue(&queue, &[&id]).await;
            let batch = vec![assign(&id, 1), finish(&id, 1), finish(&id, 1)];
            let outcomes = queue.apply(batch).await.expect("writing works");
            assert_eq!(outcomes, [Applied::Done, Applied::Done, Applied::Stale]);
            assert_eq!(get(&queue, &id).await.state, State::Succeeded, "an answered change is visible");
        }
    });
    join_all(callers).await;
    assert!(queue.unfinished(0, 1).await.expect("reading works").is_empty());
}

pub(super) async fn a_closed_queue_says_so(queue: Store) {
    enqueue(&queue, &["a"]).await;
    queue.ready().await.expect("an open queue is ready");
    queue.close().await.expect("closing works");
    queue.close().await.expect("closing again works");
    queue.apply_lazily(vec![assign("a", 1)]);
    let closed = [
        queue.enqueue(vec![Draft::new("b").build()]).await.err(),
        queue.apply(vec![assign("a", 1)]).await.err(),
        queue.get(request_id("a")).await.err(),
        queue.list(Filter::default()).await.err(),
        queue.unfinished(0, 1).await.err(),
        queue.known_functions().await.err(),
        queue.remember_functions(Vec::new()).await.err(),
        queue.ready().await.err(),
    ];
    assert!(closed.iter().all(|error| matches!(error, Some(QueueError::Closed))), "{closed:?}");
}

async fn enqueue(queue: &Store, ids: &[&str]) {
    let batch: Vec<_> = ids.iter().map(|id| Draft::new(id).build()).collect();
    let outcomes = queue.enqueue(batch).await.expect("the queue takes requests");
    assert!(outcomes.iter().all(|outcome| matches!(outcome, Enqueued::Created(_))), "{outcomes:?}");
}

async fn apply(queue: &Store, change: Change, expected: Applied) {
    let text = format!("{change:?}");
    assert_eq!(queue.apply(vec![change]).await.expect("the queue takes changes"), [expected], "{text}");
}

async fn get(queue: &Store, id: &str) -> Request {
    queue.get(request_id(id)).await.expect("reading works").expect("the request is known")
}

fn same(seen: &NewRequest, sent: &NewRequest) {
    assert_eq!((&seen.id, &seen.function), (&sent.id, &sent.function));
    assert_eq!((&seen.tenant, &seen.release_id), (&sent.tenant, &sent.release_id));
    assert_eq!((&seen.payload, seen.body_digest), (&sent.payload, sent.body_digest));
    assert_eq!((&seen.options, &seen.metadata), (&sent.options, &sent.metadata));
    assert_eq!(seen.created_at, sent.created_at);
}
