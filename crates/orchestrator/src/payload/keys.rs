//! Keys of the objects that are open while JSON is read, and the search for one that comes twice.

/// Where a key stands, in the output (its text) and in the input (for messages). Inputs are below 4 GiB.
#[derive(Clone, Copy, Debug)]
pub(super) struct Key {
    pub(super) start: u32,
    pub(super) len: u32,
    pub(super) input: u32,
}

impl Key {
    /// Its text within `out`.
    pub(super) fn text<'a>(&self, out: &'a [u8]) -> &'a [u8] {
        let start = self.start as usize;
        out.get(start..start + self.len as usize).unwrap_or_default()
    }
}

/// Up to here comparing all pairs beats sorting.
const PAIRS_MAX: usize = 12;

/// The first key that repeats an earlier one.
pub(super) fn repeated(out: &[u8], keys: &[Key]) -> Option<Key> {
    if keys.len() <= PAIRS_MAX {
        return keys.iter().enumerate().find_map(|(index, key)| {
            let earlier = keys.get(..index).unwrap_or_default();
            let same = |other: &Key| other.len == key.len && other.text(out) == key.text(out);
            earlier.iter().any(same).then_some(*key)
        });
    }
    let mut sorted = keys.to_vec();
    sorted.sort_unstable_by(|a, b| a.text(out).cmp(b.text(out)).then(a.start.cmp(&b.start)));
    let pairs = sorted.array_windows().filter(|[a, b]| a.text(out) == b.text(out));
    pairs.map(|[_, second]| *second).min_by_key(|key| key.start)
}
