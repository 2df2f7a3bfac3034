//! Which parts of a pipeline stay on the accelerator between the steps that use them.

use std::{fmt, str::FromStr};

use super::HEADROOM_BYTES;

const GIB: u64 = 1 << 30;

/// With no more than this free, even one component at a time is too much.
const GROUP_BELOW_BYTES: u64 = 6 * GIB;

/// With no more than this free, a model of unknown size is not trusted to fit.
const UNKNOWN_BELOW_BYTES: u64 = 8 * GIB;

/// With this much to spare nothing has to be saved.
const PLENTY_BYTES: u64 = 8 * GIB;

/// With less host memory than this, what leaves the accelerator goes to disk.
const DISK_BELOW_BYTES: u64 = 16 * GIB;

/// How often a call that ran out of memory is tried again, each time one rung up.
pub const OOM_RETRIES_MAX: usize = 2;

/// The rungs, from fast to small. Each includes what the one before saves: sliced and tiled decoding, sliced attention.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum OffloadMode {
    /// Everything stays, nothing is sliced.
    #[default]
    Off,
    /// Everything stays; decoding and attention work in slices.
    VaeOnly,
    /// One component at a time.
    Model,
    /// Some layers of one component at a time.
    Group,
    /// One layer at a time. Never chosen at once: it is what is left when nothing else works.
    Sequential,
}

/// What the machine and the pipeline can do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OffloadSupport {
    /// There is an accelerator to offload from.
    pub accelerator: bool,
    /// The pipeline can offload groups of layers.
    pub groups: bool,
}

/// A name that is no mode.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown memory mode {0:?}: one of off, vae_only, model_offload, group_offload, sequential")]
pub struct UnknownMode(String);

impl OffloadMode {
    const ALL: [Self; 5] = [Self::Off, Self::VaeOnly, Self::Model, Self::Group, Self::Sequential];

    /// The mode for a model of `model_bytes` whose calls were declared to need `peak_bytes` at most, with `free_bytes`
    /// of the accelerator free: never its total. A size of zero is unknown.
    #[must_use]
    pub fn choose(free_bytes: u64, model_bytes: u64, peak_bytes: u64) -> Self {
        let need = model_bytes.max(peak_bytes);
        let usable = free_bytes.saturating_sub(HEADROOM_BYTES);
        match free_bytes {
            0 => Self::Off,
            free if free <= GROUP_BELOW_BYTES => Self::Group,
            _ if need > usable => Self::Model,
            _ if need > 0 && usable - need >= PLENTY_BYTES => Self::Off,
            _ if need > 0 => Self::VaeOnly,
            free if free <= UNKNOWN_BELOW_BYTES => Self::Model,
            _ => Self::VaeOnly,
        }
    }

    /// The nearest mode that can be had here.
    #[must_use]
    pub fn supported(self, support: OffloadSupport) -> Self {
        match self {
            mode if !support.accelerator => mode.min(Self::VaeOnly),
            Self::Group if !support.groups => Self::Sequential,
            mode => mode,
        }
    }

    /// The next smaller footprint; none above the last rung.
    #[must_use]
    pub fn next_rung(self) -> Option<Self> {
        match self {
            Self::Off => Some(Self::VaeOnly),
            Self::VaeOnly => Some(Self::Model),
            Self::Model => Some(Self::Group),
            Self::Group => Some(Self::Sequential),
            Self::Sequential => None,
        }
    }

    /// Whether the model can still move as a whole: parts of an offloaded one are where its hooks put them.
    #[must_use]
    pub fn is_movable(self) -> bool {
        self <= Self::VaeOnly
    }

    /// Name in requests and reports.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::VaeOnly => "vae_only",
            Self::Model => "model_offload",
            Self::Group => "group_offload",
            Self::Sequential => "sequential",
        }
    }
}

/// The mode of the next try of a call that ran out of memory in `mode`, after `retries` earlier ones; none when it has
/// failed for good.
#[must_use]
pub fn after_out_of_memory(mode: OffloadMode, retries: usize, support: OffloadSupport) -> Option<OffloadMode> {
    if retries >= OOM_RETRIES_MAX {
        return None;
    }
    mode.next_rung().map(|next| next.supported(support)).filter(|next| *next > mode)
}

/// Whether what leaves the accelerator goes to disk, with so much host memory available; zero is unknown.
#[must_use]
pub fn offloads_to_disk(available_ram_bytes: u64) -> bool {
    available_ram_bytes > 0 && available_ram_bytes < DISK_BELOW_BYTES
}

impl FromStr for OffloadMode {
    type Err = UnknownMode;

    fn from_str(name: &str) -> Result<Self, UnknownMode> {
        let mode = Self::ALL.into_iter().find(|mode| mode.as_str() == name);
        mode.ok_or_else(|| UnknownMode(name.chars().take(64).collect()))
    }
}

impl fmt::Display for OffloadMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests;
