//! The children of a pool that are set up: what they were made from and the memory they take. Owns both.

use std::{future::Future, sync::Arc};

use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::{instance::Models, residency::Memory};

/// All children.
#[derive(Clone, Debug, Default)]
pub(super) struct Held(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    all: Mutex<All>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct All {
    sum: Memory,
    /// What each was made from, by its number; in the order they came.
    models: Vec<(u64, Models)>,
    numbers: u64,
}

/// One child. It counts no more when this drops.
#[derive(Debug)]
pub(super) struct Share {
    all: Held,
    number: u64,
    models: Models,
    own: Memory,
}

impl Held {
    /// Memory that they take.
    pub(super) fn sum(&self) -> Memory {
        self.0.all.lock().sum.clone()
    }

    /// How many there are.
    pub(super) fn count(&self) -> usize {
        self.0.all.lock().models.len()
    }

    /// What they were made from, each once; that of the newest comes last.
    pub(super) fn models(&self) -> Vec<Models> {
        let mut distinct: Vec<Models> = Vec::new();
        for (_, models) in self.0.all.lock().models.iter().rev() {
            if !distinct.contains(models) {
                distinct.push(models.clone());
            }
        }
        distinct.reverse();
        distinct
    }

    /// A child made from `models` takes `own`.
    pub(super) fn take(&self, models: Models, own: Memory) -> Share {
        let mut all = self.0.all.lock();
        all.sum.add(&own);
        let number = all.numbers;
        all.numbers += 1;
        all.models.push((number, models.clone()));
        Share { all: self.clone(), number, models, own }
    }

    /// A child is free.
    pub(super) fn came_back(&self) {
        self.0.changed.notify_waiters();
    }

    /// Completes when a child is free or gone, from the call on.
    pub(super) fn change(&self) -> impl Future<Output = ()> + '_ {
        // Counts what is told from now on, polled or not.
        self.0.changed.notified()
    }
}

impl Share {
    pub(super) fn own(&self) -> &Memory {
        &self.own
    }

    pub(super) fn models(&self) -> &Models {
        &self.models
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        let mut all = self.all.0.all.lock();
        all.sum.sub(&self.own);
        all.models.retain(|(number, _)| *number != self.number);
        drop(all);
        self.all.0.changed.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;

    use super::*;
    use crate::binding::hub;

    fn of(reference: &str) -> Models {
        Arc::new([("weights".to_owned(), hub(reference).build().expect("sound"))].into())
    }

    #[test]
    fn what_a_child_took_is_free_when_it_is_gone() {
        let held = Held::default();
        let memory = |ram_bytes, vram: &[u64]| Memory { ram_bytes, vram_bytes: vram.to_vec() };
        let (first, second) = (held.take(of("o/a"), memory(3, &[5])), held.take(of("o/a"), memory(4, &[0, 7])));
        assert_eq!((held.sum(), first.own().ram_bytes), (memory(7, &[5, 7]), 3));
        drop(first);
        assert_eq!(held.sum(), memory(4, &[0, 7]));
        drop(second);
        assert_eq!((held.sum(), held.count()), (memory(0, &[0, 0]), 0));
    }

    #[test]
    fn every_flavor_that_children_hold_is_known_and_the_newest_last() {
        let held = Held::default();
        let [_first, _second, third] =
            ["o/a", "o/b", "o/a"].map(|reference| held.take(of(reference), Memory::default()));
        assert_eq!(held.models(), [of("o/b"), of("o/a")]);
        let change = held.change();
        drop(third);
        assert_eq!(held.models(), [of("o/a"), of("o/b")]);
        assert!(change.now_or_never().is_some(), "told although nobody had asked yet");
    }
}
