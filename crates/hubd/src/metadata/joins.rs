//! Contents of several objects that become one object.

use gen_worker_hub::Blake3Hash;

use super::{Answer, Segment};

/// Which contents are in several objects, and their change to one.
pub trait Joins {
    /// Contents of more than one object that come after this one in the order of hashes, at most `limit`.
    fn scattered(&self, after: Option<Blake3Hash>, limit: usize) -> Answer<'_, Vec<Blake3Hash>>;

    /// Makes `joined` the only object of a content whose objects had the keys `from`, in their order. Those are retired: whoever
    /// reads them may read on until [`super::Metadata::sweep`] dooms them after the grace. False, with `joined` doomed, when the
    /// content has other objects by now, or is gone.
    fn put_joined(&self, hash: Blake3Hash, from: Vec<String>, joined: Segment, now_s: u64) -> Answer<'_, bool>;
}
