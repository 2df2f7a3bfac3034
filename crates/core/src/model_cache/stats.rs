//! What a cache tells of itself.

use super::table::{Place, Table};

/// A gibibyte, of which hundredths are told.
const GIB: f64 = (1_u64 << 30) as f64;

/// Names by place, the one used longest ago first, and sizes in GiB rounded to hundredths.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct CacheStats {
    /// Loaded.
    pub vram_models: Vec<String>,
    /// On disk only.
    pub disk_models: Vec<String>,
    /// On their way.
    pub downloading_models: Vec<String>,
    /// Accelerator memory that the loaded ones take.
    pub used_vram_gb: f64,
    /// What they may take.
    pub total_vram_gb: f64,
    /// What is left of that.
    pub available_vram_gb: f64,
}

impl CacheStats {
    pub(super) fn of(table: &Table) -> Self {
        let mut stats = Self {
            used_vram_gb: gib(table.used_bytes()),
            total_vram_gb: gib(table.vram_bytes_max()),
            available_vram_gb: gib(table.free_bytes()),
            ..Self::default()
        };
        for entry in table.iter() {
            let list = match entry.place {
                Place::Vram { .. } => &mut stats.vram_models,
                Place::Disk => &mut stats.disk_models,
                Place::Downloading { .. } => &mut stats.downloading_models,
            };
            list.push(entry.id.clone());
        }
        stats
    }

    /// How many models are known.
    #[must_use]
    pub fn total_models(&self) -> usize {
        self.vram_models.len() + self.disk_models.len() + self.downloading_models.len()
    }
}

#[expect(clippy::cast_precision_loss, reason = "hundredths of a GiB are told")]
fn gib(bytes: u64) -> f64 {
    (bytes as f64 / GIB * 100.0).round() / 100.0
}
