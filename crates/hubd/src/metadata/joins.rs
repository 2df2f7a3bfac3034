//! Contents of several objects that become one object.

use gen_worker_hub::Blake3Hash;

use super::{Answer, Segment};

/// Which contents are in several objects, who makes one of them, and their change to it.
///
/// The object is on record before anything of it is written: it is named from [`Joins::begin_join`] on, until
/// [`Joins::put_joined`] makes it the content's, or it is doomed.
pub trait Joins {
    /// Contents of more than one object that nobody joins now and that come after this one in the order of hashes, at most
    /// `limit`.
    fn scattered(&self, after: Option<Blake3Hash>, now_s: u64, limit: usize) -> Answer<'_, Vec<Blake3Hash>>;

    /// Lets the caller alone join a content, into an object with this key, until `until_s`. The object of who began before and
    /// whose time is over is doomed. False when somebody else's time is not over, or the content is gone.
    fn begin_join(&self, hash: Blake3Hash, key: String, until_s: u64, now_s: u64) -> Answer<'_, bool>;

    /// Gives who joins a content into this object time until `until_s`. False when it is somebody else's turn by now.
    fn keep_join(&self, hash: Blake3Hash, key: String, until_s: u64) -> Answer<'_, bool>;

    /// Makes `joined`, whose join was begun and is still the caller's, the only object of a content whose objects had the keys
    /// `from`, in their order. Those are retired: whoever reads them may read on until [`super::Metadata::sweep`] dooms them after
    /// the grace. False, with `joined` doomed, when it is not the caller's turn any more, or the content has other objects.
    fn put_joined(&self, hash: Blake3Hash, from: Vec<String>, joined: Segment, now_s: u64) -> Answer<'_, bool>;

    /// Gives up a join: its object is doomed. One that is somebody else's by now is no error.
    fn drop_join(&self, hash: Blake3Hash, key: String) -> Answer<'_, ()>;
}
