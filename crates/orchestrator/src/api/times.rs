//! Times as clients see them: RFC 3339, UTC, milliseconds.

use jiff::{Timestamp, fmt::temporal::DateTimePrinter};
use serde::{Serialize, Serializer};

use crate::request::UnixMs;

static PRINTER: DateTimePrinter = DateTimePrinter::new().precision(Some(3));

/// A time that serializes as text.
#[derive(Clone, Copy, Debug)]
pub(super) struct Time(pub(super) UnixMs);

impl Serialize for Time {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        // Beyond the year 9999 there is no such text; clocks do not go there.
        let instant = Timestamp::from_millisecond(self.0.0).unwrap_or(Timestamp::MAX);
        serializer.serialize_str(&PRINTER.timestamp_to_string(&instant))
    }
}

/// Reads an RFC 3339 time; finer than milliseconds is cut.
pub(super) fn parse(text: &str) -> Option<UnixMs> {
    text.parse::<Timestamp>().ok().map(|instant| UnixMs(instant.as_millisecond()))
}

/// Now, by the clock of the machine.
pub(super) fn now() -> UnixMs {
    UnixMs(Timestamp::now().as_millisecond())
}
