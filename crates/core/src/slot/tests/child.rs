//! The child's side alone, against a worker that says what the test says.

use bytes::BytesMut;
use tokio::{
    io::{AsyncWriteExt as _, DuplexStream, duplex},
    runtime::Handle,
    task::JoinHandle,
};

use super::{
    super::{
        SlotIoError, SlotServeError,
        frame::{Empty, Ended, Event, Frame as Said, SetUp, Start},
        frame_io::FrameIo,
        serve_slot,
    },
    *,
};

type Served = JoinHandle<std::result::Result<(), SlotServeError>>;

fn serve(registry: Registry) -> (FrameIo<DuplexStream>, Served, gen_worker_tasks::Scope) {
    let (ours, theirs) = duplex(64 * 1024);
    let scope = gen_worker_tasks::Scope::new("child");
    let memory = Arc::new(SystemMemory::new(Arc::new(NoGpus)));
    let served =
        scope.spawn_bare(async move { serve_slot(&registry, Box::new(theirs), &Handle::current(), memory).await });
    (FrameIo::new(ours), served, scope)
}

fn start(function: &str, id: &str) -> Said {
    Said::Start(Start {
        function: function.into(),
        request_id: id.into(),
        attempt: 1,
        payload: payload("x"),
        ..Start::default()
    })
}

fn set_up(function: &str) -> Said {
    Said::SetUp(SetUp { function: function.into(), models: Vec::new(), cuda: None })
}

async fn hear(io: &mut FrameIo<DuplexStream>) -> Said {
    io.next().await.expect("frames").expect("the child is there")
}

async fn ready(registry: Registry, function: &str) -> (FrameIo<DuplexStream>, Served, gen_worker_tasks::Scope) {
    let (mut io, served, scope) = serve(registry);
    assert!(matches!(hear(&mut io).await, Said::Hello(_)));
    io.queue(set_up(function)).expect("it fits");
    let Said::SetUpDone(Ended { failure: None, output: None, measures: Some(own) }) = hear(&mut io).await else {
        panic!("it is set up, and tells of itself")
    };
    assert!(own.ram_bytes > 0 && own.peak_ram_bytes > 0);
    (io, served, scope)
}

/// Reads to the end of the stream.
async fn drain(io: &mut FrameIo<DuplexStream>) {
    while let Ok(Some(_)) = io.next().await {}
}

#[tokio::test(start_paused = true)]
async fn what_comes_at_the_wrong_time_ends_the_child() {
    let probe = Probe::default();
    let (mut io, served, _scope) = ready(registry(&probe), "hold").await;
    io.queue(start("hold", "r1")).expect("it fits");
    io.queue(start("hold", "r2")).expect("it fits");
    drain(&mut io).await;
    assert!(matches!(served.await.expect("no panic"), Err(SlotServeError::OutOfTurn("a second call"))));
    let (mut io, served, _scope) = ready(registry(&probe), "hold").await;
    io.queue(set_up("hold")).expect("it fits");
    drain(&mut io).await;
    assert!(matches!(served.await.expect("no panic"), Err(SlotServeError::OutOfTurn("a set-up"))));
}

#[tokio::test(start_paused = true)]
async fn what_no_worker_says_ends_the_child_with_an_error() {
    for (bytes, broken) in [([0xff; 8].as_slice(), false), ([2, 0, 0, 0, 0xff, 0xff].as_slice(), false), (&[9], true)] {
        let (io, served, _scope) = serve(registry(&Probe::default()));
        let mut stream = io.into_stream();
        stream.write_all(bytes).await.expect("the pipe is open");
        // For what is no beginning of a frame the end need not come.
        stream.shutdown().await.expect("the pipe is open");
        let error = served.await.expect("no panic").expect_err("nonsense");
        assert_eq!(matches!(error, SlotServeError::Io(SlotIoError::Broken(_))), broken, "{error}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_end_of_the_worker_is_the_end_of_the_child() {
    let probe = Probe::default();
    let (mut io, served, _scope) = ready(registry(&probe), "hold").await;
    io.queue(start("hold", "r1")).expect("it fits");
    assert!(io.next().now_or_never().is_none());
    settle().await;
    assert_eq!(probe.held.load(Ordering::SeqCst), 1);
    drop(io);
    served.await.expect("no panic").expect("a good end");
}

#[tokio::test(start_paused = true)]
async fn functions_that_are_not_there_are_named() {
    let (mut io, _served, _scope) = serve(registry(&Probe::default()));
    assert!(matches!(hear(&mut io).await, Said::Hello(_)));
    io.queue(set_up("gone")).expect("it fits");
    let Said::SetUpDone(Ended { failure: Some(failure), .. }) = hear(&mut io).await else { panic!("it fails") };
    assert!(failure.message.contains("gone"), "{failure:?}");
    io.queue(start("gone", "r1")).expect("it fits");
    let Said::Returned(Ended { failure: Some(failure), .. }) = hear(&mut io).await else { panic!("it fails") };
    assert!(failure.message.contains("gone"), "{failure:?}");
    io.queue(Said::Ping(Empty {})).expect("it fits");
    assert_eq!(hear(&mut io).await, Said::Pong(Empty {}), "it goes on");
}

#[tokio::test(start_paused = true)]
async fn a_cancel_after_the_end_is_nothing_and_what_is_left_of_a_call_stays_silent() {
    let kept: Arc<Mutex<Option<RequestContext>>> = Arc::default();
    let keeper = kept.clone();
    let registry = Registry::builder()
        .asynchronous("keep", move |context: RequestContext, input: Text| {
            let earlier = keeper.lock().replace(context.clone());
            if let Some(earlier) = earlier {
                earlier.progress(0.1, None);
            }
            context.progress(0.9, None);
            async move { Ok(input) }
        })
        .isolation(Isolation::Process)
        .build()
        .expect("a sound registry");
    let (mut io, _served, _scope) = ready(registry, "keep").await;
    for id in ["r1", "r2"] {
        io.queue(start("keep", id)).expect("it fits");
        let Said::Event(Event { payload, .. }) = hear(&mut io).await else { panic!("progress comes first") };
        assert_eq!(payload, r#"{"progress":0.9}"#, "{id}");
        assert!(matches!(hear(&mut io).await, Said::Returned(Ended { failure: None, .. })));
        io.queue(Said::Cancel(Empty {})).expect("it fits");
    }
    kept.lock().as_ref().expect("it was kept").progress(0.2, None);
    io.queue(Said::Ping(Empty {})).expect("it fits");
    assert_eq!(hear(&mut io).await, Said::Pong(Empty {}));
}

#[tokio::test(start_paused = true)]
async fn frames_that_come_in_pieces_are_read() {
    let (io, served, _scope) = serve(registry(&Probe::default()));
    let mut stream = io.into_stream();
    let mut bytes = BytesMut::new();
    super::super::frame::encode(set_up("number"), &mut bytes).expect("it fits");
    super::super::frame::encode(Said::Shutdown(Empty {}), &mut bytes).expect("it fits");
    for byte in bytes {
        stream.write_all(&[byte]).await.expect("the pipe is open");
        tokio::task::yield_now().await;
    }
    served.await.expect("no panic").expect("a good end");
}
