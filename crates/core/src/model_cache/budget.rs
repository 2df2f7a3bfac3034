//! How much accelerator memory the models of a cache may take.

/// What stays free of what was detected, unless told otherwise: 3.5 GiB.
const MARGIN_BYTES: u64 = 7 << 29;

/// What was said about it, the stronger word first. Zero is a word, too.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct VramBudget {
    /// By the program.
    pub max_bytes: Option<u64>,
    /// By the setting `WORKER_MAX_VRAM_GB`.
    pub max_bytes_set: Option<u64>,
    /// What stays free of what was detected: by the program.
    pub margin_bytes: Option<u64>,
    /// By the setting `WORKER_VRAM_SAFETY_MARGIN_GB`.
    pub margin_bytes_set: Option<u64>,
}

impl VramBudget {
    /// What models may take where the first accelerator has `total_bytes`. Only what is detected has a margin.
    #[must_use]
    pub fn usable_bytes(&self, total_bytes: u64) -> u64 {
        let margin = self.margin_bytes.or(self.margin_bytes_set).unwrap_or(MARGIN_BYTES);
        self.max_bytes.or(self.max_bytes_set).unwrap_or(total_bytes.saturating_sub(margin))
    }
}
