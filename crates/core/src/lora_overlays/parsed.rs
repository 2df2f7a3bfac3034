//! Adapters that were read, kept for the next request that names them.

use std::sync::Arc;

/// Most bytes that are kept.
const BYTES_MAX: u64 = 1 << 30;

/// Adapters by `ref@digest`, the one used longest ago first.
#[derive(Debug)]
pub struct ParsedLoras<T> {
    entries: Vec<Entry<T>>,
    bytes_max: u64,
}

#[derive(Debug)]
struct Entry<T> {
    id: String,
    parsed: Arc<T>,
    bytes: u64,
}

impl<T> Default for ParsedLoras<T> {
    fn default() -> Self {
        Self { entries: Vec::new(), bytes_max: BYTES_MAX }
    }
}

impl<T> ParsedLoras<T> {
    /// The adapter, which counts as a use.
    pub fn get(&mut self, id: &str) -> Option<Arc<T>> {
        let at = self.entries.iter().position(|entry| entry.id == id)?;
        let entry = self.entries.remove(at);
        let parsed = entry.parsed.clone();
        self.entries.push(entry);
        Some(parsed)
    }

    /// Keeps an adapter of `bytes`; those used longest ago go for it. One that is larger than all that may be kept is
    /// not kept.
    pub fn insert(&mut self, id: &str, parsed: Arc<T>, bytes: u64) {
        self.entries.retain(|entry| entry.id != id);
        if bytes > self.bytes_max {
            return;
        }
        let mut total = self.bytes().saturating_add(bytes);
        let bytes_max = self.bytes_max;
        self.entries.retain(|entry| {
            let stays = total <= bytes_max;
            if !stays {
                total = total.saturating_sub(entry.bytes);
            }
            stays
        });
        self.entries.push(Entry { id: id.to_owned(), parsed, bytes });
    }

    /// What is kept.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.entries.iter().fold(0, |sum, entry| sum.saturating_add(entry.bytes))
    }
}
