//! The suite of the seam and random sequences of operations, on a real file and on the twin.
use std::sync::Arc;

use parking_lot::Mutex;
use proptest::{collection::vec, prelude::*, test_runner::TestCaseError};

use super::fresh;
use crate::queue::{
    Queue,
    memory::MemoryQueue,
    testing::{self, Operation, check_operations},
};

#[tokio::test(flavor = "multi_thread")]
async fn conforms() {
    let directories = Mutex::new(Vec::new());
    testing::queue_conformance(async || {
        let (directory, queue) = fresh().await;
        directories.lock().push(directory);
        Arc::new(queue) as Arc<dyn Queue>
    })
    .await;
}

fn operation() -> impl Strategy<Value = Operation> {
    let change = || (0..6_u8, any::<u8>(), -1..6_i64);
    prop_oneof![
        3 => vec((0..6_u8, any::<u8>(), 0..32_u8), 0..4).prop_map(Operation::Enqueue),
        6 => vec(change(), 0..5).prop_map(Operation::Apply),
        1 => vec(change(), 0..3).prop_map(Operation::ApplyLazily),
        2 => (0..7_u8).prop_map(Operation::Get),
        3 => (0..9_u8, 0..6_u8, 0..6_u8, 0..64_u8, 0..32_u8).prop_map(|(a, b, c, d, e)| Operation::List(a, b, c, d, e)),
        1 => (0..6_u8, 0..6_u8).prop_map(|(a, b)| Operation::Unfinished(a, b)),
        1 => (0..4_u8).prop_map(Operation::Remember),
    ]
}

proptest! {
    // A case of the file costs some 30 commits, so there are few of them; the twin is nearly free.
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_file_answers_as_the_model_does(operations in vec(operation(), 1..60)) {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        runtime.block_on(async {
            let (_directory, queue) = fresh().await;
            let outcome = check_operations(&queue, &operations).await;
            queue.close().await.unwrap();
            outcome.map_err(TestCaseError::fail)
        })?;
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_twin_answers_as_the_model_does(operations in vec(operation(), 1..60)) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let queue = MemoryQueue::default();
        runtime.block_on(check_operations(&queue, &operations)).map_err(TestCaseError::fail)?;
    }
}
