use std::sync::Arc;

use gen_worker_orchestrator::{
    queue::{Queue, memory::MemoryQueue},
    request::{NewRequest, Options, UnixMs},
};
use gen_worker_proto::{FunctionName, RequestId};

use super::Journal;
use crate::rng::Rng;

fn request(number: u64) -> NewRequest {
    NewRequest {
        id: RequestId::parse(format!("r{number}")).expect("an id"),
        function: FunctionName::parse("f").expect("a name"),
        tenant: "dev".into(),
        release_id: "dev".into(),
        payload: Vec::new().into(),
        body_digest: [0; 32],
        options: Options::default(),
        metadata: serde_json::Value::Null,
        created_at: UnixMs(1),
    }
}

#[tokio::test(start_paused = true)]
async fn a_crash_keeps_what_was_answered_and_a_prefix_of_the_rest() {
    for seed in 0..50 {
        let disk = Arc::new(MemoryQueue::default());
        let journal = Journal::open(Arc::clone(&disk), Rng::new(seed));
        let mut answered = 0;
        for number in 0..5 {
            answered += u64::from(journal.enqueue(vec![request(number)]).await.is_ok());
        }
        let mut handed_over: Vec<_> = (5..10).map(|number| journal.enqueue(vec![request(number)])).collect();
        for future in &mut handed_over {
            assert!(futures::poll!(future).is_pending() || answered < 10);
        }
        journal.crash();
        drop(handed_over);
        let kept = disk.unfinished(0, 100).await.expect("open");
        assert!(kept.len() as u64 >= answered, "seed {seed}");
        assert!(kept.is_sorted_by_key(|kept| kept.submitted.id.as_str().to_owned()), "seed {seed}");
        assert!(journal.get(RequestId::parse("r1").expect("an id")).await.is_err(), "the process is gone");
    }
}
