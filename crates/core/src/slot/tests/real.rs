//! Against real children.

use std::time::Duration;

use super::*;

struct Fixture {
    probe: Probe,
    slots: Arc<InMemorySlots>,
    options: SlotOptions,
    registry: Registry,
}

fn fixture() -> Fixture {
    let probe = Probe::default();
    let slots = Arc::new(InMemorySlots::new({
        let probe = probe.clone();
        move || registry(&probe)
    }));
    let options = SlotOptions::new(slots.clone() as Arc<dyn SlotLauncher>);
    let registry = hosted(&probe, &options);
    Fixture { probe, slots, options, registry }
}

impl Fixture {
    fn parts(&self, id: &str) -> ContextParts {
        context(id, 1, &self.probe)
    }

    async fn run(&self, name: &str, id: &str, text: &str) -> Result<String> {
        run(&self.registry, name, self.parts(id), text).await
    }

    /// A call of `hold` that is in its handler.
    async fn holding(&self, id: &str, attempt: i64) -> futures::future::BoxFuture<'static, Result<bytes::Bytes>> {
        let before = self.probe.held.load(Ordering::SeqCst);
        let parts = context(id, attempt, &self.probe);
        let Ok(Invocation::Async(mut work)) = invoke(&self.registry, "hold", parts, "").await else {
            panic!("it holds")
        };
        while self.probe.held.load(Ordering::SeqCst) == before {
            assert!(work.as_mut().now_or_never().is_none());
            tokio::task::yield_now().await;
        }
        work
    }

    fn free(&self, name: &str) -> bool {
        function(&self.registry, name).instance().expect("it has one").ready().is_some()
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_arrives_with_its_context_and_its_events_come_back() {
    let fixture = fixture();
    let parts = ContextParts { device: crate::context::Device::Cuda(3), ..fixture.parts("r1") };
    let text = run(&fixture.registry, "echo", parts, "hello").await.expect("it works");
    assert_eq!(text, "hello for acme on Cuda(3)");
    let events = fixture.probe.events.lock();
    assert_eq!(events.len(), 1);
    assert_eq!((&*events[0].kind, &events[0].payload["stage"]), ("request.progress", &"half".into()));
}

#[tokio::test(start_paused = true)]
async fn failures_keep_their_class_kind_and_text() {
    let fixture = fixture();
    let failed = fixture.run("fail", "r1", "bad day").await.expect_err("it fails");
    assert_eq!(failed.client_message(), "Boom: bad day");
    let panicked = fixture.run("panics", "r2", "x").await.expect_err("it panics");
    assert_eq!((panicked.kind(), panicked.to_string().contains("not empty")), ("Panic", true));
    assert_eq!(fixture.run("panics", "r3", "").await.expect("the slot lives on"), "");
    let echo = function(&fixture.registry, "echo");
    let lent = instance(&echo).await.expect("an instance");
    let parts = ContextParts { function: echo.name().clone(), ..fixture.parts("r4") };
    let Ok(Invocation::Async(work)) =
        echo.invoke(RequestContext::new(parts), bytes::Bytes::from_static(b"\xc1"), Some(lent))
    else {
        panic!("nothing is decoded here")
    };
    assert!(work.await.expect_err("no payload").is_decode());
    assert_eq!(fixture.options.counters.read().crashed, 0);
}

#[tokio::test(start_paused = true)]
async fn an_instance_is_set_up_once_per_slot_and_shut_down_in_it() {
    let fixture = fixture();
    assert_eq!(fixture.run("number", "r1", "").await.expect("it works"), "0");
    assert_eq!(fixture.run("number", "r2", "").await.expect("it works"), "0", "the same slot");
    let number = function(&fixture.registry, "number");
    let (first, second) = (instance(&number).await.expect("one"), instance(&number).await.expect("two"));
    assert_eq!(fixture.probe.setups.load(Ordering::SeqCst), 2, "as many as calls at once");
    assert!(number.instance().expect("a cell").ready().is_none(), "there is no third");
    drop((first, second));
    number.instance().expect("a cell").shutdown().await;
    assert_eq!(fixture.probe.shutdowns.load(Ordering::SeqCst), 2);
    assert_eq!(fixture.slots.running(), 0);
    assert_eq!(fixture.run("number", "r3", "").await.expect("it starts again"), "2");
}

#[tokio::test(start_paused = true)]
async fn a_failed_setup_says_why_and_the_next_one_may_work() {
    let fixture = fixture();
    *fixture.probe.setup_fails.lock() = Some(WorkerError::out_of_memory());
    let failed = fixture.run("number", "r1", "").await.expect_err("no memory");
    assert!(failed.is_out_of_memory());
    assert_eq!(fixture.run("number", "r2", "").await.expect("there is some now"), "1");
}

#[tokio::test(start_paused = true)]
async fn a_crash_fails_its_own_job_retryable_once_then_fatal() {
    let fixture = fixture();
    let work = fixture.holding("r1", 1).await;
    fixture.slots.crash(SlotExit::Signal(6));
    let first = work.await.expect_err("its process is gone");
    assert_eq!(
        (first.class(), first.client_message().as_str()),
        (crate::FailureClass::Retryable, "worker slot crashed: signal 6 (SIGABRT)")
    );
    let work = fixture.holding("r1", 2).await;
    fixture.slots.crash(SlotExit::Code(3));
    let second = work.await.expect_err("again");
    assert_eq!(
        (second.class(), second.client_message().as_str()),
        (crate::FailureClass::Fatal, "worker slot crashed: exit code 3")
    );
    assert_eq!(fixture.run("echo", "r2", "on").await.expect("others go on"), "on for acme on Cpu");
    assert_eq!(fixture.options.counters.read().crashed, 2);
}

#[tokio::test(start_paused = true)]
async fn a_slot_that_died_while_idle_is_replaced_and_nobody_notices() {
    let fixture = fixture();
    fixture.run("echo", "r1", "a").await.expect("it works");
    fixture.slots.crash(SlotExit::Signal(9));
    settle().await;
    fixture.run("echo", "r2", "b").await.expect("in a new one");
    assert_eq!(fixture.options.counters.read().started, 2);
}

#[tokio::test(start_paused = true)]
async fn a_dropped_call_is_cancelled_and_its_slot_goes_on() {
    let fixture = fixture();
    let work = fixture.holding("r1", 1).await;
    assert!(!fixture.free("hold"));
    drop(work);
    assert!(!fixture.free("hold"), "not before the handler ended");
    settle().await;
    assert!(fixture.free("hold"));
    let counts = fixture.options.counters.read();
    assert_eq!((counts.started, counts.cancels, counts.killed), (1, 1, 0));
}

#[tokio::test(start_paused = true)]
async fn a_raised_flag_ends_a_call_without_dropping_it() {
    let fixture = fixture();
    let cancel = CancelFlag::new();
    let parts = ContextParts { cancel: cancel.clone(), ..fixture.parts("r1") };
    let Ok(Invocation::Async(work)) = invoke(&fixture.registry, "until_cancelled", parts, "done").await else {
        panic!("a blocking handler in a slot is no blocking work here")
    };
    let raise = async {
        while fixture.probe.held.load(Ordering::SeqCst) == 0 {
            tokio::task::yield_now().await;
        }
        cancel.set();
    };
    let (outcome, ()) = futures::join!(work, raise);
    assert_eq!(codec::decode::<Text>(&outcome.expect("it finished")).expect("text").text, "done");
}

#[tokio::test(start_paused = true)]
async fn a_stream_waits_for_its_reader() {
    const COUNT: usize = 200;
    let fixture = fixture();
    let Ok(Invocation::Stream(mut items)) =
        invoke(&fixture.registry, "flood", fixture.parts("r1"), &COUNT.to_string()).await
    else {
        panic!("it streams")
    };
    assert!(matches!(items.next().await, Some(Ok(Frame::Chunk { .. }))));
    settle().await;
    let ahead = fixture.probe.made.load(Ordering::SeqCst);
    assert!(ahead < COUNT / 2, "{ahead} items of {COUNT} were made for one that was read");
    let mut chunks = 1;
    let end = loop {
        match items.next().await.expect("an end comes").expect("no failure") {
            Frame::Chunk { content_type, data } => {
                assert_eq!((content_type, data.len() > ITEM_BYTES), ("application/json", true));
                chunks += 1;
            }
            end @ Frame::End(_) => break end,
        }
    };
    assert_eq!((chunks, end), (COUNT, Frame::End(None)));
    assert!(items.next().await.is_none());
    drop(items);
    assert!(fixture.free("flood"));
}

#[tokio::test(start_paused = true)]
async fn a_stream_nobody_reads_any_more_frees_its_slot() {
    let fixture = fixture();
    let Ok(Invocation::Stream(mut items)) = invoke(&fixture.registry, "flood", fixture.parts("r1"), "100000").await
    else {
        panic!("it streams")
    };
    assert!(items.next().await.is_some());
    drop(items);
    settle().await;
    assert!(fixture.free("flood"));
    assert_eq!(fixture.options.counters.read().killed, 0);
}

#[tokio::test(start_paused = true)]
async fn places_are_conserved_whatever_happens_to_their_calls() {
    let fixture = fixture();
    // Every pair of ways to end, so that each follows each.
    for (number, (first, second)) in (0..4).flat_map(|a| (0..4).map(move |b| (a, b))).enumerate() {
        for (step, way) in [first, second].into_iter().enumerate() {
            let id = format!("r{number}-{step}");
            match way {
                0 => drop(fixture.holding(&id, 1).await),
                1 => {
                    let work = fixture.holding(&id, 1).await;
                    fixture.slots.crash(SlotExit::Signal(11));
                    assert!(work.await.is_err());
                }
                2 => {
                    let work = fixture.holding(&id, 1).await;
                    fixture.slots.crash(SlotExit::Signal(9));
                    drop(work);
                }
                _ => drop(invoke(&fixture.registry, "hold", fixture.parts(&id), "").await.expect("never polled")),
            }
        }
        tokio::time::timeout(Duration::from_secs(60), instance(&function(&fixture.registry, "hold")))
            .await
            .expect("a place is free")
            .expect("a slot");
        assert!(fixture.free("hold"));
    }
    assert!(fixture.slots.running() <= 1);
}
