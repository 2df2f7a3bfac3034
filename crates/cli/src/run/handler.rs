//! The handler phase: runs one invocation, prints what it gives, and listens for Ctrl-C meanwhile.

use std::{any::Any, future::Future, panic::AssertUnwindSafe, time::Instant};

use bytes::Bytes;
use futures::{FutureExt as _, StreamExt as _, stream::BoxStream};
use gen_worker_core::{CancelFlag, FailureClass, Frame, Invocation, WorkerError};
use gen_worker_tasks::Scope;
use serde_json::{Value, json};
use tokio::signal::unix::Signal;

use crate::{
    console::{note, print_document},
    exit::{Exit, Failure, Outcome, chain},
    interrupt::{Press, Presses},
};

/// One handler on its way.
pub(super) struct Run<'a> {
    pub(super) pretty: bool,
    pub(super) cancel: CancelFlag,
    pub(super) interrupts: &'a mut Signal,
}

/// The process should end now, whatever the handler does.
pub(super) struct ExitNow;

impl Run<'_> {
    /// Runs it to its end. A handler that ignores its cancel and returns normally still has its result printed.
    pub(super) async fn invocation(self, invocation: Invocation) -> Result<Outcome, ExitNow> {
        let (pretty, cancel) = (self.pretty, self.cancel.clone());
        let work = async {
            match invocation {
                Invocation::Async(future) => single(guarded(future).await, pretty),
                Invocation::Blocking(work) => single(blocking(work).await, pretty),
                Invocation::Stream(stream) => streamed(stream, &cancel, pretty).await,
            }
        };
        self.interruptible(work).await
    }

    async fn interruptible<T>(self, work: impl Future<Output = T>) -> Result<T, ExitNow> {
        let Self { pretty: _, cancel, interrupts } = self;
        let mut presses = Presses::default();
        let mut work = std::pin::pin!(work);
        loop {
            tokio::select! {
                biased;
                () = super::pressed(interrupts) => match presses.press(Instant::now()) {
                    Press::Exit => return Err(ExitNow),
                    Press::Cancel => {
                        cancel.set();
                        note("gen-worker run: canceling; press Ctrl-C again within 2 s to exit at once");
                    }
                },
                done = &mut work => return Ok(done),
            }
        }
    }
}

fn single(result: Result<Bytes, WorkerError>, pretty: bool) -> Outcome {
    let value = decoded(&result.map_err(|error| failure(&error))?)?;
    print_document(&json!({"event": "result", "value": value}), pretty)?;
    Ok(Exit::Success)
}

async fn streamed(
    stream: BoxStream<'static, Result<Frame, WorkerError>>,
    cancel: &CancelFlag,
    pretty: bool,
) -> Outcome {
    let mut stream = AssertUnwindSafe(stream).catch_unwind();
    let mut yielded: u64 = 0;
    while let Some(frame) = stream.next().await {
        let frame = frame.unwrap_or_else(|panic| Err(panicked(panic.as_ref())));
        match frame.map_err(|error| failure(&error))? {
            // A handler that has ended ends normally, cancelled or not.
            Frame::End(_) => break,
            Frame::Chunk { .. } if cancel.is_set() => return Ok(Exit::Interrupted),
            Frame::Chunk { content_type: _, data } => {
                let value: Value = serde_json::from_slice(&data)
                    .map_err(|error| Failure::failed(format!("the handler's item is not JSON: {error}")))?;
                print_document(&json!({"event": "yield", "value": value}), pretty)?;
                yielded += 1;
            }
        }
    }
    print_document(&json!({"event": "result", "value": {"yielded": yielded}}), pretty)?;
    Ok(Exit::Success)
}

async fn guarded(future: impl Future<Output = Result<Bytes, WorkerError>>) -> Result<Bytes, WorkerError> {
    let caught = AssertUnwindSafe(future).catch_unwind().await;
    caught.unwrap_or_else(|panic| Err(panicked(panic.as_ref())))
}

async fn blocking(work: Box<dyn FnOnce() -> Result<Bytes, WorkerError> + Send>) -> Result<Bytes, WorkerError> {
    let scope = Scope::new("handler");
    match scope.spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) => Err(match error.try_into_panic() {
            Ok(panic) => panicked(panic.as_ref()),
            Err(_) => WorkerError::canceled(),
        }),
    }
}

fn panicked(panic: &(dyn Any + Send)) -> WorkerError {
    let text = panic.downcast_ref::<&str>().copied().or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    WorkerError::panicked(text.unwrap_or("no text"))
}

fn failure(error: &WorkerError) -> Failure {
    match error.class() {
        FailureClass::Canceled => Failure::new(Exit::Interrupted, "canceled"),
        _ => Failure::failed(format!("handler failed: {}: {}", error.kind(), chain(error))),
    }
}

fn decoded(output: &[u8]) -> Result<Value, Failure> {
    gen_worker_core::codec::to_json(output)
        .map_err(|error| Failure::failed(format!("the handler's output is not readable: {error}")))
}
