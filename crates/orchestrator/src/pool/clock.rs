//! One clock for the pool: monotonic inside, wall time at its edges. Paused together with the runtime's timers.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::time::Instant;

use crate::request::UnixMs;

/// Microseconds since the clock was made; negative for what happened before (requests of an earlier process).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Tick(pub(crate) i64);

/// The clock.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    origin: Instant,
    origin_unix_us: i64,
}

impl Clock {
    /// A clock that starts at tick 0, now. `wall` is the time on the wall; `None` asks the system.
    pub(crate) fn start(wall: Option<UnixMs>) -> Self {
        let origin_unix_us = wall.map_or_else(system_us, |wall| wall.0.saturating_mul(1_000));
        Self { origin: Instant::now(), origin_unix_us }
    }

    /// The present.
    pub(crate) fn now(&self) -> Tick {
        Tick(i64::try_from(self.origin.elapsed().as_micros()).unwrap_or(i64::MAX / 2))
    }

    /// The timer's view of a tick; ticks before the origin are the origin.
    pub(crate) fn instant(&self, tick: Tick) -> Instant {
        self.origin + Duration::from_micros(u64::try_from(tick.0).unwrap_or(0))
    }

    /// Wall time of a tick.
    pub(crate) fn unix(&self, tick: Tick) -> UnixMs {
        UnixMs((self.origin_unix_us + tick.0).div_euclid(1_000))
    }

    /// Tick of a wall time; far futures saturate.
    pub(crate) fn tick(&self, at: UnixMs) -> Tick {
        Tick(at.0.saturating_mul(1_000).saturating_sub(self.origin_unix_us))
    }
}

impl Tick {
    /// The tick `delay` later.
    pub(crate) fn after(self, delay: Duration) -> Self {
        Self(self.0.saturating_add(i64::try_from(delay.as_micros()).unwrap_or(i64::MAX)))
    }

    /// Milliseconds since `earlier`, never negative.
    pub(crate) fn ms_since(self, earlier: Self) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "microseconds of a request's life are far below 2^52")]
        let us = self.0.saturating_sub(earlier.0).max(0) as f64;
        us / 1_000.0
    }
}

/// Microseconds since the Unix epoch by the system's clock.
fn system_us() -> i64 {
    let unix = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(unix.as_micros()).unwrap_or(i64::MAX / 2)
}
