//! The newest finished pairs (W9). Owns its ring.

use std::collections::VecDeque;

use gen_worker_proto::Pair;

use crate::hash::FastSet;

#[derive(Debug)]
pub(super) struct FinishedPairs {
    pairs: FastSet<Pair>,
    oldest_first: VecDeque<Pair>,
    max: usize,
}

impl FinishedPairs {
    pub(super) fn new(max: usize) -> Self {
        Self {
            pairs: FastSet::with_capacity_and_hasher(max, Default::default()),
            oldest_first: VecDeque::with_capacity(max),
            max,
        }
    }

    pub(super) fn contains(&self, pair: &Pair) -> bool {
        self.pairs.contains(pair)
    }

    pub(super) fn remember(&mut self, pair: Pair) {
        if self.max == 0 || !self.pairs.insert(pair.clone()) {
            return;
        }
        if self.oldest_first.len() >= self.max
            && let Some(oldest) = self.oldest_first.pop_front()
        {
            self.pairs.remove(&oldest);
        }
        self.oldest_first.push_back(pair);
    }
}
