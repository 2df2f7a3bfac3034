//! What a child tells of itself with the end of a set-up or a call. Owns nothing.

use std::time::Duration;

use crate::{
    instance::SetupTimes,
    memory::{own_peak_bytes, own_resident_bytes},
    peaks::Peaks,
    slot::frame::Measures,
};

/// After a set-up: how large the process is with its instance, and how long the author's parts took.
pub(super) fn of_set_up(times: SetupTimes) -> Measures {
    let micros = |part: Duration| u64::try_from(part.as_micros()).unwrap_or(u64::MAX);
    Measures {
        peak_ram_bytes: own_peak_bytes().unwrap_or(0),
        peak_vram_bytes: 0,
        ram_bytes: own_resident_bytes().unwrap_or(0),
        setup_us: micros(times.setup),
        warmup_us: micros(times.warmup),
    }
}

/// After a call that was seen to use this.
pub(super) fn of_call(peaks: Option<&Peaks>) -> Measures {
    Measures {
        peak_ram_bytes: own_peak_bytes().unwrap_or(0),
        peak_vram_bytes: peaks.map_or(0, Peaks::vram_bytes),
        ram_bytes: 0,
        setup_us: 0,
        warmup_us: 0,
    }
}
