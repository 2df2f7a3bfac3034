//! Running one handler to its outcome, wherever that is: on the event loop, in a task, on a thread. A panic is a
//! failure of the job, never of the worker.

use std::{
    collections::VecDeque,
    future::poll_fn,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, Waker},
    time::Duration,
};

use bytes::Bytes;
use futures::{Stream, future::BoxFuture, stream::BoxStream};
use gen_worker_proto::limits::MESSAGE_BYTES_MAX;
use tokio::time::Instant;

use super::{FirstPoll, JobCell};
use crate::{
    FailureClass, Instance, RequestContext, WorkerError,
    function::{Frame, Function, Invocation},
    job::Outcome,
};

/// Frames gathered before they are queued together: amortizes the queue's lock without making a reader wait, since
/// only frames that are ready at once are gathered.
const FRAMES_TOGETHER: usize = 32;

/// How long frames are gathered: a stream that computes inside its polls must not keep the first of them back.
const GATHER_MAX: Duration = Duration::from_millis(1);

/// Largest frame: a message less room for ids and media type.
const FRAME_BYTES_MAX: usize = MESSAGE_BYTES_MAX - 4096;

/// Everything one call needs.
pub(super) struct Call {
    pub(super) job: Arc<JobCell>,
    pub(super) function: Arc<Function>,
    pub(super) context: RequestContext,
    pub(super) payload: Bytes,
    pub(super) instance: Option<Instance>,
}

/// A handler that was polled and is not done.
pub(super) type Running = BoxFuture<'static, Outcome>;

impl Call {
    /// Decodes and polls the handler once, without anybody to wake: whoever takes the rest polls it again.
    pub(super) fn poll_once(self) -> Result<(Outcome, FirstPoll), (Running, FirstPoll)> {
        let began = Instant::now();
        let job = self.job.clone();
        let mut work = match self.invoke() {
            Ok(Invocation::Async(work)) => work,
            Ok(other) => {
                let first_poll = FirstPoll { took: began.elapsed(), finished: false };
                return Err((Box::pin(drive(job, other)), first_poll));
            }
            Err(error) => return Ok((Outcome::from(&error), FirstPoll { took: began.elapsed(), finished: true })),
        };
        let poll = poll_guarded(&mut work, &mut Context::from_waker(Waker::noop()));
        let first_poll = FirstPoll { took: began.elapsed(), finished: poll.is_ready() };
        match poll {
            Poll::Ready(outcome) => Ok((dropped(work, outcome), first_poll)),
            Poll::Pending => Err((Box::pin(drive(job, Invocation::Async(work))), first_poll)),
        }
    }

    /// The whole handler, as a task.
    pub(super) async fn run(self) -> (Outcome, FirstPoll) {
        let began = Instant::now();
        let job = self.job.clone();
        let invocation = match self.invoke() {
            Ok(invocation) => invocation,
            Err(error) => return (Outcome::from(&error), FirstPoll { took: began.elapsed(), finished: true }),
        };
        let mut running = Box::pin(drive(job, invocation));
        let mut first_poll = None;
        let outcome = poll_fn(|cx| {
            let poll = running.as_mut().poll(cx);
            first_poll.get_or_insert_with(|| FirstPoll { took: began.elapsed(), finished: poll.is_ready() });
            poll
        })
        .await;
        (outcome, first_poll.unwrap_or(FirstPoll { took: began.elapsed(), finished: true }))
    }

    /// The whole handler, on a thread that may block.
    pub(super) fn run_blocking(self) -> Outcome {
        let work = match self.invoke() {
            Ok(Invocation::Blocking(work)) => work,
            Ok(_) => return Outcome::from(&WorkerError::fatal("HandlerShape", "a blocking function gave a future")),
            Err(error) => return Outcome::from(&error),
        };
        match catch_unwind(AssertUnwindSafe(work)) {
            Ok(Ok(output)) => Outcome::Output(Some(output)),
            Ok(Err(error)) => Outcome::from(&error),
            Err(panic) => panicked(panic.as_ref()),
        }
    }

    fn invoke(self) -> Result<Invocation, WorkerError> {
        let Self { function, context, payload, instance, .. } = self;
        catch_unwind(AssertUnwindSafe(|| function.invoke(context, payload, instance)))
            .unwrap_or_else(|panic| Err(WorkerError::panicked(panic_text(panic.as_ref()))))
    }
}

async fn drive(job: Arc<JobCell>, invocation: Invocation) -> Outcome {
    match invocation {
        Invocation::Async(mut work) => {
            let outcome = poll_fn(|cx| poll_guarded(&mut work, cx)).await;
            dropped(work, outcome)
        }
        Invocation::Stream(mut frames) => {
            let outcome = stream(&job, &mut frames).await;
            dropped(frames, outcome)
        }
        Invocation::Blocking(_) => {
            Outcome::from(&WorkerError::fatal("HandlerShape", "an async function gave blocking work"))
        }
    }
}

fn poll_guarded(work: &mut BoxFuture<'static, Result<Bytes, WorkerError>>, cx: &mut Context<'_>) -> Poll<Outcome> {
    // A future that panicked is not polled again, so nothing sees its broken state.
    match catch_unwind(AssertUnwindSafe(|| work.as_mut().poll(cx))) {
        Ok(Poll::Pending) => Poll::Pending,
        Ok(Poll::Ready(Ok(output))) => Poll::Ready(Outcome::Output(Some(output))),
        Ok(Poll::Ready(Err(error))) => Poll::Ready(Outcome::from(&error)),
        Err(panic) => Poll::Ready(panicked(panic.as_ref())),
    }
}

/// Queues frames as they come, waiting while the send queue of a live connection is full.
async fn stream(job: &JobCell, frames: &mut BoxStream<'static, Result<Frame, WorkerError>>) -> Outcome {
    let mut ready = VecDeque::with_capacity(FRAMES_TOGETHER);
    loop {
        let end = poll_fn(|cx| gather(job, frames, cx, &mut ready)).await;
        while !ready.is_empty() {
            if job.cancel_flag().is_set() {
                return Outcome::from(&WorkerError::canceled());
            }
            if !job.outbox().emit_all(job.gate(), job.pair(), &mut ready) {
                return Outcome::from(&WorkerError::canceled());
            }
            if !ready.is_empty() {
                job.outbox().room().await;
            }
        }
        if let Some(outcome) = end {
            return outcome;
        }
        // A stream that is always ready must not keep its thread from other tasks.
        tokio::task::coop::consume_budget().await;
    }
}

/// Takes what is ready, at most [`FRAMES_TOGETHER`] frames and the events between them, and the outcome if the
/// stream is over.
pub(super) fn gather(
    job: &JobCell,
    frames: &mut BoxStream<'static, Result<Frame, WorkerError>>,
    cx: &mut Context<'_>,
    ready: &mut VecDeque<(&'static str, Bytes)>,
) -> Poll<Option<Outcome>> {
    job.hold_events();
    let poll = gather_held(job, frames, cx, ready);
    job.release_events(ready);
    if poll.is_pending() && !ready.is_empty() { Poll::Ready(None) } else { poll }
}

fn gather_held(
    job: &JobCell,
    frames: &mut BoxStream<'static, Result<Frame, WorkerError>>,
    cx: &mut Context<'_>,
    ready: &mut VecDeque<(&'static str, Bytes)>,
) -> Poll<Option<Outcome>> {
    let began = Instant::now();
    while ready.len() < FRAMES_TOGETHER && (ready.is_empty() || began.elapsed() < GATHER_MAX) {
        let polled = catch_unwind(AssertUnwindSafe(|| Pin::new(&mut *frames).poll_next(cx)));
        // Told before the item was there, so they come before it.
        job.take_events(ready);
        let outcome = match polled {
            Ok(Poll::Pending) => return Poll::Pending,
            Ok(Poll::Ready(Some(Ok(Frame::Chunk { content_type, data })))) if data.len() <= FRAME_BYTES_MAX => {
                ready.push_back((content_type, data));
                continue;
            }
            Ok(Poll::Ready(Some(Ok(Frame::Chunk { .. })))) => {
                Outcome::Failed { class: FailureClass::Invalid, message: "output payload too large".to_owned() }
            }
            Ok(Poll::Ready(Some(Ok(Frame::End(output))))) => Outcome::Output(output),
            Ok(Poll::Ready(Some(Err(error)))) => Outcome::from(&error),
            Ok(Poll::Ready(None)) => {
                Outcome::from(&WorkerError::fatal("StreamContract", "the stream ended without its terminal item"))
            }
            Err(panic) => panicked(panic.as_ref()),
        };
        return Poll::Ready(Some(outcome));
    }
    Poll::Ready(None)
}

/// `outcome`, unless what is left of the handler panics when it is dropped.
fn dropped<T>(rest: T, outcome: Outcome) -> Outcome {
    match catch_unwind(AssertUnwindSafe(|| drop(rest))) {
        Ok(()) => outcome,
        Err(panic) => panicked(panic.as_ref()),
    }
}

fn panicked(panic: &(dyn std::any::Any + Send)) -> Outcome {
    Outcome::from(&WorkerError::panicked(panic_text(panic)))
}

fn panic_text(panic: &(dyn std::any::Any + Send)) -> &str {
    let text = panic.downcast_ref::<&'static str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or_default()
}
