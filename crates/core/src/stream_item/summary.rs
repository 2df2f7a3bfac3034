//! What a stream was, for its result: chunks may be lost on the way, this is not.

use std::collections::BTreeMap;

use serde::{Serialize, Serializer};

use super::{BatchItemDelta, OPAQUE, Signal, TokenDelta, TokenUsage};

/// Content kept for the summary, in bytes; peers keep as much. What does not fit is left out and
/// `truncated` says so.
const CONTENT_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Texts and batch items kept track of: their bookkeeping counts for nothing above, and a stream has no length.
const PARTS_MAX: usize = 65_536;

/// The result of a stream; only what is not empty is written.
#[derive(Debug, Serialize)]
pub(super) struct StreamResult {
    #[serde(skip_serializing_if = "String::is_empty")]
    text: String,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    texts: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    items: Vec<FinishedItem>,
    #[serde(skip_serializing_if = "Option::is_none")]
    usage: Option<TokenUsage>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    truncated: bool,
}

impl StreamResult {
    /// The same with only as much as fits into `bytes_max` bytes: the usage, the beginning of the text, then whole
    /// texts and items in order.
    pub(super) fn within(mut self, bytes_max: usize) -> Self {
        /// Keys, numbers and the usage.
        const FLAT: usize = 512;
        /// Keys, lengths and the index of one text or item.
        const EACH: usize = 96;
        let mut room = bytes_max.saturating_sub(FLAT);
        let mut take = |bytes: usize| {
            let fits = bytes <= room;
            room = if fits { room - bytes } else { 0 };
            fits
        };
        let end = self.text.floor_char_boundary(bytes_max.saturating_sub(FLAT));
        self.text.truncate(end);
        take(self.text.len());
        self.texts.retain(|id, text| take(EACH + id.len() + text.len()));
        self.items.retain(|item| take(EACH + item.bytes()));
        Self { truncated: true, ..self }
    }
}

/// An item of a batch that ended.
#[derive(Debug, Serialize)]
struct FinishedItem {
    item_id: Option<String>,
    index: u64,
    content: Content,
    content_type: String,
    error: String,
}

impl FinishedItem {
    fn bytes(&self) -> usize {
        let content = match &self.content {
            Content::Text(text) => text.len(),
            Content::Bytes(bytes) => bytes.len(),
        };
        self.item_id.as_ref().map_or(0, String::len) + content + self.content_type.len() + self.error.len()
    }
}

/// Text for `text/*`, bytes for everything else.
#[derive(Debug)]
enum Content {
    Text(String),
    Bytes(Vec<u8>),
}

/// Folds items into a [`StreamResult`].
#[derive(Debug, Default)]
pub(super) struct Summary {
    content_bytes: usize,
    /// By item id; the empty one is the only text of most streams.
    texts: BTreeMap<String, String>,
    open: BTreeMap<(Option<String>, u64), OpenItem>,
    finished: Vec<FinishedItem>,
    usage: Option<TokenUsage>,
    truncated: bool,
}

#[derive(Debug)]
struct OpenItem {
    content: Vec<u8>,
    content_type: String,
}

impl Summary {
    pub(super) fn add(&mut self, signal: Signal<'_>) {
        match signal {
            Signal::Token(delta) => self.token(delta),
            Signal::Batch(delta) => self.batch(delta),
            Signal::Usage(usage) => self.usage = Some(*usage),
            Signal::Done | Signal::Error(_) | Signal::Data => {}
        }
    }

    /// None when there is nothing to sum up.
    pub(super) fn finish(mut self) -> Option<StreamResult> {
        let mut text = self.texts.remove("").unwrap_or_default();
        if text.is_empty()
            && self.texts.len() == 1
            && let Some(only) = self.texts.values().next()
        {
            text.clone_from(only);
        }
        let Self { texts, finished: items, usage, truncated, .. } = self;
        let result = StreamResult { text, texts, items, usage, truncated };
        let empty = result.text.is_empty()
            && result.texts.is_empty()
            && result.items.is_empty()
            && result.usage.is_none()
            && !result.truncated;
        (!empty).then_some(result)
    }

    fn token(&mut self, delta: &TokenDelta) {
        let id = delta.item_id.as_deref().unwrap_or_default();
        if !self.has_room(delta.text.len()) {
            return;
        }
        if let Some(text) = self.texts.get_mut(id) {
            text.push_str(&delta.text);
        } else if self.has_part() {
            self.texts.insert(id.to_owned(), delta.text.clone());
        }
    }

    fn batch(&mut self, delta: &BatchItemDelta) {
        let key = (delta.item_id.clone(), delta.index);
        if !self.open.contains_key(&key) && !self.has_part() {
            return;
        }
        let fits = delta.chunk.is_empty() || self.has_room(delta.chunk.len());
        let item = self
            .open
            .entry(key.clone())
            .or_insert_with(|| OpenItem { content: Vec::new(), content_type: delta.content_type.clone() });
        if fits {
            item.content.extend_from_slice(&delta.chunk);
        }
        if delta.content_type != OPAQUE {
            item.content_type.clone_from(&delta.content_type);
        }
        // An item that neither finished nor failed is not part of the result.
        if (delta.finished || !delta.error.is_empty())
            && let Some(OpenItem { content, content_type }) = self.open.remove(&key)
        {
            let content = if content_type.starts_with("text/") {
                Content::Text(String::from_utf8_lossy(&content).into_owned())
            } else {
                Content::Bytes(content)
            };
            let (item_id, index) = key;
            self.finished.push(FinishedItem { item_id, index, content, content_type, error: delta.error.clone() });
        }
    }

    fn has_room(&mut self, bytes: usize) -> bool {
        let total = self.content_bytes + bytes;
        if total > CONTENT_BYTES_MAX {
            self.truncated = true;
            return false;
        }
        self.content_bytes = total;
        true
    }

    fn has_part(&mut self) -> bool {
        let room = self.texts.len() + self.open.len() + self.finished.len() < PARTS_MAX;
        self.truncated |= !room;
        room
    }
}

impl Serialize for Content {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Text(text) => serializer.serialize_str(text),
            Self::Bytes(bytes) => serializer.serialize_bytes(bytes),
        }
    }
}
