//! Who may use a thread for a blocking handler: a counted permit and a line. Owns both.

use std::collections::VecDeque;

use gen_worker_proto::Pair;

#[derive(Debug)]
pub(super) struct Threads {
    free: usize,
    waiting: VecDeque<Pair>,
}

impl Threads {
    pub(super) fn new(count: usize) -> Self {
        Self { free: count.max(1), waiting: VecDeque::new() }
    }

    /// Takes a thread, or puts `pair` at the end of the line.
    pub(super) fn acquire(&mut self, pair: &Pair) -> bool {
        if self.free > 0 {
            self.free -= 1;
            return true;
        }
        self.waiting.push_back(pair.clone());
        false
    }

    /// Gives one back.
    pub(super) fn release(&mut self) {
        self.free += 1;
    }

    /// Takes a thread for the first in line.
    pub(super) fn next(&mut self) -> Option<Pair> {
        if self.free == 0 {
            return None;
        }
        let pair = self.waiting.pop_front()?;
        self.free -= 1;
        Some(pair)
    }

    /// Leaves the line.
    pub(super) fn withdraw(&mut self, pair: &Pair) {
        self.waiting.retain(|waiting| waiting != pair);
    }

    #[cfg(test)]
    pub(super) fn free(&self) -> usize {
        self.free
    }
}
