use std::{sync::Arc, time::Duration};

use super::{Options, StartError, start};
use crate::{pool::PoolError, queue::memory::MemoryQueue};

#[tokio::test]
async fn a_taken_port_is_one_error_that_names_the_address() {
    let running = start(Options::default(), Arc::new(MemoryQueue::default())).await.expect("starts");
    let taken = running.http_addr();
    let options = Options { http: taken, ..Options::default() };
    let error = start(options, Arc::new(MemoryQueue::default())).await.expect_err("taken");
    assert!(matches!(error, StartError::Listen { address, .. } if address == taken), "{error:?}");
    assert_eq!(error.to_string(), format!("could not listen on {taken} for clients"));
    running.shut_down(Duration::from_secs(5)).await;
}

#[tokio::test]
async fn a_stopped_orchestrator_refuses_calls_and_closes_its_store() {
    let store = Arc::new(MemoryQueue::default());
    let running = start(Options::default(), store.clone()).await.expect("starts");
    let handle = running.handle().clone();
    handle.ready().await.expect("ready");
    running.shut_down(Duration::from_secs(5)).await;
    assert!(matches!(handle.ready().await, Err(PoolError::Closed)));
    assert!(crate::queue::Queue::ready(store.as_ref()).await.is_err());
}
