use parking_lot::Mutex;

use super::*;

#[derive(Default)]
struct Recorder(Mutex<Vec<RequestEvent>>);

impl EventSink for Recorder {
    fn emit(&self, event: RequestEvent) {
        self.0.lock().push(event);
    }
}

fn parts() -> ContextParts {
    let pair = Pair::parse("r1", 2).expect("a pair");
    ContextParts::new(pair, FunctionName::parse("echo").expect("a name"))
}

#[test]
fn e92_owner_and_invoker_are_readable() {
    let context = RequestContext::new(ContextParts { tenant: "acme".into(), invoker_id: "u1".into(), ..parts() });
    assert_eq!((context.owner(), context.invoker_id()), ("acme", "u1"));
    assert_eq!((context.request_id(), context.attempt()), ("r1", Attempt(2)));
}

#[test]
fn e93_progress_and_log_become_events() {
    let recorder = Arc::new(Recorder::default());
    let events: Arc<dyn EventSink> = recorder.clone();
    let context = RequestContext::new(ContextParts { events, ..parts() });
    context.progress(1.5, Some("denoise"));
    context.progress(0.25, None);
    context.log(Level::Warning, "careful");
    let seen = recorder.0.lock();
    let shown: Vec<_> = seen.iter().map(|event| (&*event.kind, event.payload.to_string())).collect();
    assert_eq!(
        shown,
        [
            ("request.progress", r#"{"progress":1.5,"stage":"denoise"}"#.to_owned()),
            ("request.progress", r#"{"progress":0.25}"#.to_owned()),
            ("request.log", r#"{"level":"warning","message":"careful"}"#.to_owned()),
        ]
    );
    assert!(seen.iter().all(|event| event.timestamp > 1.0e9));
}

#[tokio::test]
async fn cancel_is_sticky_and_wakes_waiters() {
    let cancel = CancelFlag::new();
    let context = RequestContext::new(ContextParts { cancel: cancel.clone(), ..parts() });
    assert!(context.check_cancelled().is_ok());
    let (canceled, ()) = tokio::join!(context.cancelled(), async { cancel.set() });
    assert_eq!(canceled, ());
    context.cancelled().await;
    assert!(context.is_cancelled());
    assert!(context.check_cancelled().is_err());
}

#[test]
fn time_remaining_never_goes_below_zero() {
    let late = Deadline { at: Instant::now(), wall: SystemTime::now() };
    let context = RequestContext::new(ContextParts { deadline: Some(late), ..parts() });
    assert_eq!(context.time_remaining(), Some(Duration::ZERO));
    assert!(context.deadline().is_some());
    assert_eq!(RequestContext::new(parts()).time_remaining(), None);
    assert!(Deadline::after(Duration::MAX).is_none());
}

#[test]
fn random_numbers_repeat_for_a_seed() {
    let context = RequestContext::new(parts());
    let (mut one, mut two) = (context.rng(Some(7)), context.rng(Some(7)));
    let first: Vec<u64> = (0..9).map(|_| one.next_u64()).collect();
    assert_eq!(first, (0..9).map(|_| two.next_u64()).collect::<Vec<_>>());
    let drawn = context.rng(None);
    assert_eq!(drawn.clone().next_u32(), context.rng(Some(drawn.seed())).next_u32());
    // The published test vector of Philox 4x32-10 for an all-zero key and counter.
    let mut zero = Rng::new(0);
    let words: Vec<u32> = (0..4).map(|_| zero.next_u32()).collect();
    assert_eq!(words, [0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8]);
}

#[test]
fn random_numbers_have_the_shape_they_promise() {
    let mut rng = Rng::new(1);
    let uniform: Vec<f64> = (0..10_000).map(|_| rng.uniform()).collect();
    assert!(uniform.iter().all(|x| (0.0..1.0).contains(x)));
    let normal: Vec<f64> = (0..10_000).map(|_| rng.normal()).collect();
    let mean = normal.iter().sum::<f64>() / 10_000.0;
    let variance = normal.iter().map(|x| x * x).sum::<f64>() / 10_000.0;
    assert!(mean.abs() < 0.05 && (variance - 1.0).abs() < 0.05, "mean {mean}, variance {variance}");
}
