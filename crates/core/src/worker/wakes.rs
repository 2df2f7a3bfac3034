//! Which sources of the event loop have something to say. Owns one waker per source.
//!
//! The loop turns at least twice for every message, and nearly all of its sources are idle nearly all the time. Asking
//! each of them in every turn cost more than deciding about a job; here an idle source costs nothing.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    task::{Context, Poll, Wake, Waker},
};

use futures::task::AtomicWaker;

/// What the loop listens to besides its connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Source {
    Kill,
    Stop,
    Events,
    Setups,
    Gpus,
    Timer,
    Drained,
    Token,
}

impl Source {
    const ALL: [Self; 8] =
        [Self::Kill, Self::Stop, Self::Events, Self::Setups, Self::Gpus, Self::Timer, Self::Drained, Self::Token];

    fn bit(self) -> u32 {
        1 << self as u32
    }
}

/// Sources that woke since they were asked.
#[derive(Debug)]
pub(super) struct Wakes {
    shared: Arc<Shared>,
    wakers: [Waker; Source::ALL.len()],
    /// Taken from the shared set and not yet asked.
    due: u32,
}

#[derive(Debug, Default)]
struct Shared {
    woken: AtomicU32,
    /// The task of the loop.
    parent: AtomicWaker,
}

struct SourceWaker {
    shared: Arc<Shared>,
    bit: u32,
}

impl Wake for SourceWaker {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        // Before the task is woken: it looks at the set only after it has registered itself, so that one of the two
        // always sees the other.
        if self.shared.woken.fetch_or(self.bit, Ordering::AcqRel) & self.bit == 0 {
            self.shared.parent.wake();
        }
    }
}

impl Wakes {
    /// Every source is due: none has a waker of ours yet.
    pub(super) fn new() -> Self {
        let shared = Arc::<Shared>::default();
        let waker = |source: Source| Waker::from(Arc::new(SourceWaker { shared: shared.clone(), bit: source.bit() }));
        let wakers = Source::ALL.map(waker);
        Self { shared, wakers, due: u32::MAX }
    }

    /// Begins a turn: collects who woke, and has the task of `cx` woken by the next one.
    pub(super) fn collect(&mut self, cx: &Context<'_>) {
        self.shared.parent.register(cx.waker());
        if self.shared.woken.load(Ordering::Acquire) != 0 {
            self.due |= self.shared.woken.swap(0, Ordering::AcqRel);
        }
    }

    /// `source` is to be asked though it did not wake: it was replaced or set anew.
    pub(super) fn renew(&mut self, source: Source) {
        self.due |= source.bit();
    }

    /// Asks `source` if it is due. It stays so while it is ready: only a source that is pending has kept our waker.
    pub(super) fn ask<T>(&mut self, source: Source, ask: impl FnOnce(&mut Context<'_>) -> Poll<T>) -> Poll<T> {
        if self.due & source.bit() == 0 {
            return Poll::Pending;
        }
        let Some(waker) = self.wakers.get(source as usize) else { return Poll::Pending };
        let answer = ask(&mut Context::from_waker(waker));
        if answer.is_pending() {
            self.due &= !source.bit();
        }
        answer
    }
}

#[cfg(test)]
mod tests {
    //! Idle sources are left alone, and no wake is lost.
    use std::sync::atomic::AtomicUsize;

    use super::*;

    #[derive(Default)]
    struct Count(AtomicUsize);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Asks a source that is pending and keeps the waker it was asked with.
    fn kept(wakes: &mut Wakes, source: Source) -> Option<Waker> {
        let mut kept = None;
        let answer: Poll<()> = wakes.ask(source, |cx| {
            kept = Some(cx.waker().clone());
            Poll::Pending
        });
        assert!(answer.is_pending());
        kept
    }

    #[test]
    fn a_source_is_asked_first_and_then_only_after_it_woke() {
        let count = Arc::<Count>::default();
        let parent = Waker::from(count.clone());
        let mut wakes = Wakes::new();
        wakes.collect(&Context::from_waker(&parent));
        let timer = kept(&mut wakes, Source::Timer).expect("asked at first");
        assert!(kept(&mut wakes, Source::Timer).is_none(), "idle");

        timer.wake_by_ref();
        timer.wake();
        assert_eq!(count.0.load(Ordering::Relaxed), 1, "the task is woken once for a turn");
        wakes.collect(&Context::from_waker(&parent));
        assert!(kept(&mut wakes, Source::Timer).is_some());
        assert!(kept(&mut wakes, Source::Token).is_some(), "never asked before");
        assert!(kept(&mut wakes, Source::Token).is_none());
        wakes.renew(Source::Token);
        assert!(kept(&mut wakes, Source::Token).is_some(), "set anew");
    }

    #[test]
    fn a_ready_source_is_asked_until_it_is_pending() {
        let mut wakes = Wakes::new();
        for _ in 0..2 {
            assert_eq!(wakes.ask(Source::Events, |_| Poll::Ready(7)), Poll::Ready(7));
        }
        assert!(kept(&mut wakes, Source::Events).is_some());
        assert!(kept(&mut wakes, Source::Events).is_none());
    }

    #[test]
    fn a_wake_before_the_turn_is_seen_by_it() {
        let mut wakes = Wakes::new();
        let early = kept(&mut wakes, Source::Stop).expect("asked at first");
        early.wake();
        wakes.collect(&Context::from_waker(Waker::noop()));
        assert!(kept(&mut wakes, Source::Stop).is_some());
    }
}
