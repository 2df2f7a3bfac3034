//! `#[endpoint]` on types.

use std::{
    path::Path,
    sync::atomic::{AtomicUsize, Ordering},
};

use gen_worker::prelude::*;
use gen_worker_core::LocalModels;
use serde_json::json;

use crate::{
    functions::Text,
    support::{call, function},
};

/// A model that is loaded from a directory.
struct Unet(String);

impl LoadModel for Unet {
    fn load(dir: &Path, _options: &LoadOptions) -> Result<Self> {
        Ok(Self(dir.display().to_string()))
    }
}

struct Painter {
    unet: Unet,
    vae: ModelDir,
    calls: AtomicUsize,
}

#[derive(Output)]
struct Painted {
    unet: String,
    vae: String,
    calls: usize,
}

static CLOSED: AtomicUsize = AtomicUsize::new(0);
static WARMED: AtomicUsize = AtomicUsize::new(0);

#[endpoint(slots(unet = hf("acme/paint"), vae = hub("acme/vae").tag("v2")), resources(max_concurrency = 1))]
impl Painter {
    #[setup]
    async fn load(unet: Unet, vae: ModelDir) -> Result<Self> {
        Ok(Self { unet, vae, calls: AtomicUsize::new(0) })
    }

    #[warmup]
    fn warm(&self) {
        self.helper();
        WARMED.fetch_add(1, Ordering::SeqCst);
    }

    /// Paints.
    #[handler]
    async fn paint(&self, _ctx: &RequestContext, _prompt: Text) -> Result<Painted> {
        let calls = self.calls.fetch_add(1, Ordering::SeqCst) + 1;
        Ok(Painted { unet: self.unet.0.clone(), vae: self.vae.path().display().to_string(), calls })
    }

    #[handler]
    fn repaint(&self, _ctx: RequestContext, _prompt: Text) -> Result<Painted> {
        Ok(Painted { unet: String::new(), vae: String::new(), calls: self.calls.load(Ordering::SeqCst) })
    }

    #[handler]
    fn strokes(&self, _ctx: &RequestContext, prompt: Text) -> impl Stream<Item = Result<Text>> + Send {
        stream! {
            yield Ok(prompt);
            yield Err(WorkerError::retryable(self.unet.0.clone()));
        }
    }

    #[shutdown]
    async fn close(self) -> Result<()> {
        CLOSED.fetch_add(1, Ordering::SeqCst);
        Ok(())
    }

    /// Not marked, so not routable.
    pub fn helper(&self) {}
}

#[derive(Default)]
struct Counter {
    count: AtomicUsize,
}

#[endpoint]
impl Counter {
    #[handler]
    async fn tick(&self, _ctx: &RequestContext, _payload: Text) -> Result<Painted> {
        let calls = self.count.fetch_add(1, Ordering::SeqCst) + 1;
        Ok(Painted { unet: String::new(), vae: String::new(), calls })
    }
}

struct Both {
    dirs: Slots,
}

#[endpoint(slots(one = hub("o/1"), two = hub("o/2")))]
impl Both {
    #[setup]
    fn load(slots: Slots) -> Result<Self> {
        slots.load_blocking::<ModelDir>("one")?;
        Ok(Self { dirs: slots })
    }

    #[handler]
    fn both(&self, _ctx: &RequestContext, _payload: Text) -> Result<Text> {
        self.dirs.dir("two").map(|dir| Text::of(dir.path().display()))
    }
}

impl Text {
    pub fn of(text: impl std::fmt::Display) -> Self {
        serde_json::from_value(json!({"text": text.to_string()})).expect("a payload")
    }
}

fn models() -> LocalModels {
    let dir = std::env::temp_dir();
    LocalModels::new().with("acme/paint", &dir).with("acme/vae:v2", &dir).with("o/1", &dir).with("o/2", &dir)
}

#[tokio::test]
async fn e1_an_instance_lives_from_setup_to_shutdown() {
    let (paint, repaint) = (function("paint"), function("repaint"));
    let dir = std::env::temp_dir().display().to_string();
    let first = call(&paint, json!({"text": ""}), models()).await.expect("an answer");
    assert_eq!(first, json!({"unet": dir, "vae": dir, "calls": 1}));
    call(&paint, json!({"text": ""}), models()).await.expect("an answer");
    // Another registry, another instance: this one belongs to `repaint` as looked up on its own.
    assert_eq!(call(&repaint, json!({"text": ""}), models()).await.expect("an answer")["calls"], 0);
    let before = CLOSED.load(Ordering::SeqCst);
    let cell = paint.instance().expect("an instance");
    cell.shutdown().await;
    assert!(!cell.is_ready());
    assert_eq!(CLOSED.load(Ordering::SeqCst), before + 1);
    assert!(WARMED.load(Ordering::SeqCst) >= 2);
}

#[tokio::test]
async fn e2_handlers_of_a_type_share_their_instance() {
    let registry = crate::support::registry();
    let paint = registry.get("paint").expect("a function");
    let repaint = registry.get("repaint").expect("a function");
    call(paint, json!({"text": ""}), models()).await.expect("an answer");
    assert_eq!(call(repaint, json!({"text": ""}), models()).await.expect("an answer")["calls"], 1);
    assert_eq!(paint.type_name(), Some("Painter"));
    assert!(registry.get("helper").is_none());
}

#[tokio::test]
async fn a_type_without_setup_is_made_by_default() {
    let tick = function("tick");
    for calls in 1..=2 {
        assert_eq!(call(&tick, json!({"text": ""}), LocalModels::new()).await.expect("an answer")["calls"], calls);
    }
}

#[tokio::test]
async fn e4_a_setup_may_take_all_slots() {
    let answer = call(&function("both"), json!({"text": ""}), models()).await.expect("an answer");
    assert_eq!(answer["text"], std::env::temp_dir().display().to_string());
}

#[tokio::test]
async fn methods_may_stream() {
    use gen_worker_core::{Frame, Invocation, codec};
    let strokes = function("strokes");
    let payload = codec::from_json(&json!({"text": "x"}));
    let Ok(Invocation::Stream(frames)) = crate::support::start(&strokes, payload, models()).await else {
        panic!("a stream")
    };
    let frames: Vec<_> = frames.collect().await;
    assert!(matches!(frames.as_slice(), [Ok(Frame::Chunk { .. }), Err(_)]), "{frames:?}");
}
