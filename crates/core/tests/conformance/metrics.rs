//! What results say of memory: of this process, of the child that served the job, of accelerators.

use std::sync::Arc;

use futures::FutureExt as _;
use gen_worker_core::{
    Registry, RegistryBuilder, RequestContext, SlotOptions, endpoint::Isolation, gpu::Gpu, memory::MemoryProbe,
    residency::Memory, slot::InMemorySlots,
};
use gen_worker_proto::pb::{self, JobMetrics, JobStatus, worker_message::Msg};
use parking_lot::Mutex;

use crate::{
    fixture::Fixture,
    functions::{Probe, Text, text},
    orchestrator::Session,
};

const GIB: u64 = 1 << 30;

/// Two accelerators of 24 GiB, with so much in use.
#[derive(Clone, Default)]
pub struct Cards(pub Arc<Mutex<[u64; 2]>>);

impl MemoryProbe for Cards {
    fn total(&self) -> Memory {
        Memory { ram_bytes: 64 * GIB, vram_bytes: vec![24 * GIB; 2] }
    }

    fn free_ram(&self) -> u64 {
        64 * GIB
    }

    fn free_vram(&self) -> Vec<Option<u64>> {
        self.0.lock().iter().map(|used| Some((24 - used) * GIB)).collect()
    }
}

/// Handlers that take gibibytes of the accelerator of their job, by themselves, in a thread, and in a child.
fn functions(cards: &Cards) -> RegistryBuilder {
    let (own, thread, child) = (cards.clone(), cards.clone(), cards.clone());
    let take = |cards: Cards| {
        move |context: RequestContext, input: Text| {
            if let gen_worker_core::context::Device::Cuda(device) = context.device() {
                let gibibytes: u64 = input.text.parse().expect("a number");
                cards.0.lock()[usize::try_from(device).expect("small")] = gibibytes;
            }
            Ok(input)
        }
    };
    let (own, thread, child) = (take(own), take(thread), take(child));
    Registry::builder()
        .asynchronous("own", move |context, input| futures::future::ready(own(context, input)).boxed())
        .blocking("thread", thread)
        .asynchronous("child", move |context, input| futures::future::ready(child(context, input)).boxed())
        .isolation(Isolation::Process)
}

fn fixture(cards: &Cards) -> Fixture {
    let (children, probe) = (cards.clone(), cards.clone());
    let slots = InMemorySlots::new(move || functions(&children).build().expect("sound")).with_memory(Arc::new(probe));
    let (options, memory) = (SlotOptions::new(Arc::new(slots)), cards.clone());
    Fixture::serving(functions(cards), Probe::default(), move |worker| {
        let card = Gpu { name: "L4".into(), capability: (8, 9), total_bytes: 24 * GIB };
        worker.gpus = vec![card.clone(), card];
        worker.memory = Arc::new(memory);
        worker.slots = Some(options);
    })
}

async fn metrics(session: &mut Session, id: &str, function: &str, gibibytes: u64, device: Option<i32>) -> JobMetrics {
    let accelerator = if device.is_some() { "cuda" } else { "none" };
    session
        .run_job(pb::RunJob {
            request_id: id.into(),
            attempt: 1,
            function_name: function.into(),
            input_payload: text(&gibibytes.to_string()).into(),
            compute: Some(pb::ResolvedCompute {
                accelerator: accelerator.into(),
                gpu_index: device.unwrap_or(0),
                gpu_count: 1,
                ..Default::default()
            }),
            ..Default::default()
        })
        .await;
    let result = session.result().await;
    assert_eq!(result.status(), JobStatus::Ok, "{}", result.safe_message);
    result.metrics.expect("its handler started")
}

#[tokio::test(start_paused = true)]
async fn w9_6_accelerator_memory_of_a_job_is_seen_wherever_it_runs() {
    let cards = Cards::default();
    let mut fixture = fixture(&cards);
    let mut session = fixture.session().await;
    for (number, function) in ["own", "thread", "child"].into_iter().enumerate() {
        *cards.0.lock() = [1, 1];
        let first = metrics(&mut session, &format!("a{number}"), function, 7, Some(0)).await.peak_vram_bytes;
        let second = metrics(&mut session, &format!("b{number}"), function, 5, Some(1)).await.peak_vram_bytes;
        // A child counts every accelerator of its process: nobody else is in there.
        let want = if function == "child" { [8, 12] } else { [7, 5] };
        assert_eq!([first, second].map(|bytes| bytes >> 30), want, "{function}");
        let none = metrics(&mut session, &format!("c{number}"), function, 3, None).await.peak_vram_bytes;
        assert_eq!(none, 0, "{function} without one");
    }
}

#[tokio::test(start_paused = true)]
async fn w9_6_the_child_that_served_a_job_counts_into_its_peak() {
    let mut fixture = fixture(&Cards::default());
    let mut session = fixture.session().await;
    let own = metrics(&mut session, "r1", "own", 0, None).await.peak_rss_bytes;
    let child = metrics(&mut session, "r2", "child", 0, None).await.peak_rss_bytes;
    // The child is this process too, so it counts twice.
    assert!(own > 0 && child >= own * 3 / 2, "{own} {child}");
}

#[tokio::test(start_paused = true)]
async fn w2_the_first_hello_knows_what_others_use() {
    let cards = Cards::default();
    *cards.0.lock() = [12, 0];
    let mut fixture = fixture(&cards);
    let (_session, hello) = fixture.orchestrator.connect().await;
    let free = hello.state.expect("state").free_vram_bytes >> 30;
    assert!((33..=36).contains(&free), "{free}");
}

#[tokio::test(start_paused = true)]
async fn w7_free_accelerator_memory_is_told_when_it_changes() {
    let cards = Cards::default();
    let mut fixture = fixture(&cards);
    *cards.0.lock() = [12, 0];
    let (mut session, _) = fixture.orchestrator.connect().await;
    loop {
        if let Msg::StateDelta(state) = session.next().await
            && state.free_vram_bytes > 0
            && state.free_vram_bytes <= i64::try_from(36 * GIB).expect("small")
        {
            assert!(state.free_vram_bytes > i64::try_from(33 * GIB).expect("small"), "{state:?}");
            return;
        }
    }
}
