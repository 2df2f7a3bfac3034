//! Against children that do what the test says.

use std::{io, time::Duration};

use futures::future::{BoxFuture, ready};
use tokio::{
    io::{AsyncWriteExt as _, DuplexStream, duplex},
    sync::{mpsc, watch},
    time::Instant,
};

use super::{
    super::{
        LaunchedSlot, SlotChild,
        frame::{self, Empty, Ended, Hello, PROTOCOL},
        frame_io::FrameIo,
    },
    *,
};

/// Gives the other end of every slot to the test.
struct Scripted(mpsc::UnboundedSender<End>);

struct End {
    io: FrameIo<DuplexStream>,
    killed: watch::Receiver<bool>,
}

struct Child(watch::Sender<bool>);

impl SlotLauncher for Scripted {
    fn launch(&self) -> BoxFuture<'static, io::Result<LaunchedSlot>> {
        let (ours, theirs) = duplex(64 * 1024);
        let (sender, killed) = watch::channel(false);
        drop(self.0.send(End { io: FrameIo::new(theirs), killed }));
        Box::pin(ready(Ok(LaunchedSlot { stream: Box::new(ours), child: Box::new(Child(sender)) })))
    }
}

impl SlotChild for Child {
    fn has_ended(&mut self) -> bool {
        *self.0.borrow()
    }

    fn kill(&mut self) {
        self.0.send_replace(true);
    }

    fn wait(&mut self) -> BoxFuture<'_, SlotExit> {
        Box::pin(async {
            // The sender is ours, so there is always one.
            drop(self.0.subscribe().wait_for(|killed| *killed).await);
            SlotExit::Signal(9)
        })
    }
}

impl End {
    async fn hear(&mut self) -> frame::Frame {
        self.io.next().await.expect("frames").expect("the worker is there")
    }

    fn say(&mut self, frame: frame::Frame) {
        self.io.queue(frame).expect("it fits");
    }

    /// Says what is queued and hears nothing more until it is killed.
    async fn is_killed(&mut self) {
        let Self { io, killed } = self;
        tokio::select! {
            biased;
            _ = killed.wait_for(|killed| *killed) => {}
            said = io.next() => panic!("nothing more is said to it: {said:?}"),
        }
    }

    /// Greets and is set up.
    async fn up(&mut self) {
        self.say(frame::Frame::Hello(Hello { protocol: PROTOCOL }));
        assert!(matches!(self.hear().await, frame::Frame::SetUp(_)));
        self.say(frame::Frame::SetUpDone(Ended::default()));
    }

    /// Up, and given a call.
    async fn called(&mut self) {
        self.up().await;
        assert!(matches!(self.hear().await, frame::Frame::Start(_)));
    }
}

struct Fixture {
    probe: Probe,
    ends: mpsc::UnboundedReceiver<End>,
    options: SlotOptions,
    registry: Registry,
}

fn fixture() -> Fixture {
    let (probe, (sender, ends)) = (Probe::default(), mpsc::unbounded_channel());
    let options = SlotOptions::new(Arc::new(Scripted(sender)));
    let registry = hosted(&probe, &options);
    Fixture { probe, ends, options, registry }
}

impl Fixture {
    async fn next_child(&mut self) -> End {
        self.ends.recv().await.expect("a launch")
    }

    /// A call on its way and its child, which has got it.
    async fn called(&mut self) -> (tokio::task::JoinHandle<Result<String>>, End, gen_worker_tasks::Scope) {
        let scope = gen_worker_tasks::Scope::new("test");
        let (registry, parts) = (self.registry.clone(), context("r1", 1, &self.probe));
        let work = scope.spawn_bare(async move { run(&registry, "echo", parts, "x").await });
        let mut end = self.next_child().await;
        end.called().await;
        (work, end, scope)
    }
}

#[tokio::test(start_paused = true)]
async fn a_cancel_that_is_ignored_is_enforced_after_the_grace() {
    let mut fixture = fixture();
    let (work, mut end, _scope) = fixture.called().await;
    let began = Instant::now();
    work.abort();
    assert!(matches!(end.hear().await, frame::Frame::Cancel(_)));
    assert_eq!(began.elapsed(), Duration::ZERO, "it is told at once");
    // It goes on sending, which changes nothing.
    end.say(frame::Frame::Event(frame::Event::default()));
    end.is_killed().await;
    assert_eq!(began.elapsed(), fixture.options.cancel_grace);
    let registry = fixture.registry.clone();
    let echo = function(&registry, "echo");
    let (next, ()) = futures::join!(instance(&echo).boxed(), async {
        fixture.next_child().await.up_and_stay().await;
    });
    next.expect("the slot was replaced");
    let counts = fixture.options.counters.read();
    assert_eq!((counts.killed, counts.cancels, counts.cpu_ms_after_cancel), (1, 1, 5_000));
}

#[tokio::test(start_paused = true)]
async fn c20_an_accelerator_is_free_only_when_the_child_has_let_go_of_it() {
    let mut fixture = fixture();
    let permit = Arc::new(());
    let held = Arc::downgrade(&permit);
    let scope = gen_worker_tasks::Scope::new("test");
    let (registry, parts) = (fixture.registry.clone(), context("r1", 1, &fixture.probe));
    let work = scope.spawn_bare(async move {
        let echo = function(&registry, "echo");
        let instance = instance(&echo).await.expect("a slot");
        instance.remote_calls().expect("it lives elsewhere").hold(permit);
        let context = RequestContext::new(parts);
        let Invocation::Async(work) = echo.invoke(context, payload("x"), Some(instance))? else {
            panic!("one value comes of it");
        };
        work.await
    });
    let mut end = fixture.next_child().await;
    end.called().await;
    work.abort();
    assert!(matches!(end.hear().await, frame::Frame::Cancel(_)));
    tokio::time::advance(fixture.options.cancel_grace - Duration::from_millis(1)).await;
    assert!(held.upgrade().is_some(), "the handler may still compute");
    end.is_killed().await;
    settle().await;
    assert!(held.upgrade().is_none());
}

impl End {
    /// Greets, is set up, and stays until the test ends.
    async fn up_and_stay(mut self) {
        self.up().await;
        tokio::select! {
            biased;
            _ = self.io.next() => panic!("nothing is said to an idle child"),
            () = settle() => std::mem::forget(self),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_within_the_grace_saves_the_child() {
    let mut fixture = fixture();
    let (work, mut end, _scope) = fixture.called().await;
    work.abort();
    assert!(matches!(end.hear().await, frame::Frame::Cancel(_)));
    tokio::time::advance(Duration::from_millis(1_500)).await;
    end.say(frame::Frame::Returned(Ended::default()));
    tokio::select! {
        biased;
        _ = end.io.next() => panic!("nothing more is said to it"),
        () = settle() => {}
    }
    assert!(function(&fixture.registry, "echo").instance().expect("a cell").ready().is_some());
    let counts = fixture.options.counters.read();
    assert_eq!((counts.killed, counts.cancels, counts.cpu_ms_after_cancel), (0, 1, 1_500));
}

#[tokio::test(start_paused = true)]
async fn a_child_that_answers_no_questions_is_given_up() {
    let mut fixture = fixture();
    let (work, mut end, _scope) = fixture.called().await;
    let began = Instant::now();
    // Answers once, then hangs.
    assert!(matches!(end.hear().await, frame::Frame::Ping(_)));
    assert_eq!(began.elapsed(), fixture.options.health_interval);
    end.say(frame::Frame::Pong(Empty {}));
    for _ in 0..2 {
        assert!(matches!(end.hear().await, frame::Frame::Ping(_)));
    }
    end.is_killed().await;
    assert_eq!(began.elapsed(), fixture.options.health_interval * 4);
    let failed = work.await.expect("no panic").expect_err("nobody is there");
    assert_eq!(failed.client_message(), "worker slot crashed: it stopped answering");
}

#[tokio::test(start_paused = true)]
async fn a_clock_that_jumped_ends_no_healthy_child() {
    let mut fixture = fixture();
    let (work, mut end, _scope) = fixture.called().await;
    for _ in 0..5 {
        // As after a stop of both processes: the time has passed, and nobody had any of it to answer.
        tokio::time::advance(fixture.options.health_interval * 20).await;
        assert!(matches!(end.hear().await, frame::Frame::Ping(_)));
        end.say(frame::Frame::Pong(Empty {}));
    }
    end.say(frame::Frame::Returned(Ended { output: Some(payload("well")), ..Ended::default() }));
    assert!(end.io.next().now_or_never().is_none());
    assert_eq!(work.await.expect("no panic").expect("it worked"), "well");
}

#[tokio::test(start_paused = true)]
async fn a_child_that_talks_nonsense_is_given_up() {
    let mut fixture = fixture();
    let (work, end, _scope) = fixture.called().await;
    let End { io, mut killed } = end;
    let mut stream = io.into_stream();
    stream.write_all(&[0xff; 8]).await.expect("the pipe is open");
    drop(killed.wait_for(|killed| *killed).await);
    let failed = work.await.expect("no panic").expect_err("nonsense");
    assert!(failed.to_string().contains("more than"), "{failed}");
}

#[tokio::test(start_paused = true)]
async fn a_child_that_never_greets_or_is_of_another_version_is_given_up() {
    let mut fixture = fixture();
    let registry = fixture.registry.clone();
    let echo = function(&registry, "echo");
    let (first, mut end) = futures::join!(instance(&echo).boxed(), fixture.next_child());
    end.is_killed().await;
    let first = first.expect_err("it said nothing");
    assert_eq!(first.class(), crate::FailureClass::Retryable);
    let other = async {
        let mut end = fixture.next_child().await;
        end.say(frame::Frame::Hello(Hello { protocol: PROTOCOL + 1 }));
        end.is_killed().await;
    };
    let (second, ()) = futures::join!(instance(&echo).boxed(), other);
    let second = second.expect_err("another version");
    assert_eq!(second.class(), crate::FailureClass::Fatal, "two in a row: the endpoint is broken here");
    assert!(second.to_string().contains("replaced"), "{second}");
}

#[tokio::test(start_paused = true)]
async fn chunks_of_unknown_types_and_frames_out_of_place_end_the_child() {
    for wrong in [
        frame::Frame::Chunk(frame::Chunk { content_type: "image/x-new".into(), data: bytes::Bytes::new() }),
        frame::Frame::SetUpDone(Ended::default()),
    ] {
        let mut fixture = fixture();
        let (work, mut end, _scope) = fixture.called().await;
        end.say(wrong);
        end.is_killed().await;
        assert!(work.await.expect("no panic").is_err());
    }
}

#[tokio::test(start_paused = true)]
async fn a_child_that_does_not_shut_down_is_killed() {
    let mut fixture = fixture();
    let registry = fixture.registry.clone();
    let echo = function(&registry, "echo");
    let (lent, mut end) = futures::join!(instance(&echo).boxed(), async {
        let mut end = fixture.next_child().await;
        end.up().await;
        // Sends what was queued last.
        assert!(end.io.next().now_or_never().is_none());
        end
    });
    drop(lent.expect("up"));
    let began = Instant::now();
    let stay = async {
        assert!(matches!(end.hear().await, frame::Frame::Shutdown(_)));
        end.is_killed().await;
    };
    futures::join!(echo.instance().expect("a cell").shutdown(), stay);
    assert_eq!(began.elapsed(), fixture.options.shutdown_limit);
}
