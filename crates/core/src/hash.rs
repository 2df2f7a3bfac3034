//! Hash tables of the job loop. Owns no state.
//!
//! A job costs about nine lookups by its id, and with the standard library's SipHash they were a tenth of what the loop
//! does for it. Ids are chosen by clients, so the function is seeded per table; whoever finds collisions all the same
//! makes lookups in tables of bounded size slower.

use foldhash::quality::RandomState;

/// A map keyed by request, pair or function.
pub(crate) type FastMap<K, V> = std::collections::HashMap<K, V, RandomState>;

/// A set of pairs.
pub(crate) type FastSet<T> = std::collections::HashSet<T, RandomState>;
