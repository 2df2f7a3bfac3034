//! Hash tables of the job loop. Owns what all of them are seeded with.
//!
//! A job costs about nine lookups by its id, and with the standard library's SipHash they were a tenth of what the loop
//! does for it. Ids are chosen by clients, so the function is seeded per table; whoever finds collisions all the same
//! makes lookups in tables of bounded size slower.

use std::{
    hash::{BuildHasher, RandomState},
    sync::LazyLock,
};

use foldhash::{
    SharedSeed,
    quality::{FoldHasher, SeedableRandomState},
};

/// A map keyed by request, pair or function.
pub(crate) type FastMap<K, V> = std::collections::HashMap<K, V, FastState>;

/// A set of pairs.
pub(crate) type FastSet<T> = std::collections::HashSet<T, FastState>;

static SHARED: LazyLock<SharedSeed> = LazyLock::new(|| SharedSeed::from_u64(drawn()));

/// Hashes the keys of one table. foldhash's own seeds come from addresses and the clock, which can be guessed and
/// cannot be repeated; these come from the operating system's entropy, as those of the standard library do.
#[derive(Clone)]
pub(crate) struct FastState(SeedableRandomState);

impl Default for FastState {
    fn default() -> Self {
        Self(SeedableRandomState::with_seed(drawn(), &SHARED))
    }
}

impl BuildHasher for FastState {
    type Hasher = FoldHasher<'static>;

    fn build_hasher(&self) -> Self::Hasher {
        self.0.build_hasher()
    }
}

fn drawn() -> u64 {
    RandomState::new().hash_one(0_u8)
}
