//! What ended long ago leaves the file: in the commits of others and a few rows at a time, so that it costs no commit
//! of its own and an idle store is not touched.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use rusqlite::Connection;

use super::failure::storage;
use crate::queue::QueueError;

/// Rows looked at in one commit besides twice the entries it writes: the sweep keeps up with any rate of requests, and
/// gains on it.
const ROWS_MIN: usize = 64;

/// Time between two sweeps once everything due is gone.
const PAUSE: Duration = Duration::from_secs(60);

/// Time after which a sweep looks at the oldest rows again: those that were unfinished when it passed them.
const ROUND: Duration = Duration::from_secs(60 * 60);

/// Rows in the order of their arrival; the clock rises with it, so the first young row ends the search.
const OLDEST: &str = "
    SELECT request.sequence, request.clock_ms, live.sequence IS NOT NULL
    FROM request LEFT JOIN live ON live.sequence = request.sequence
    WHERE request.sequence > ?1 ORDER BY request.sequence LIMIT ?2";

const DROP_HISTORY: &str = "DELETE FROM history WHERE sequence = ?1";

const DROP_REQUEST: &str = "DELETE FROM request WHERE sequence = ?1";

/// Where the sweep is. Owned by the writer.
#[derive(Debug)]
pub(super) struct Retention {
    kept_ms: i64,
    /// Newest row that was passed in this round.
    cursor: i64,
    /// Nothing is looked for before.
    rests_until: Option<Instant>,
    round_ends: Instant,
}

impl Retention {
    /// Ended requests are kept for `kept` from their submit.
    pub(super) fn new(kept: Duration, now: Instant) -> Self {
        Self {
            kept_ms: i64::try_from(kept.as_millis()).unwrap_or(i64::MAX),
            cursor: 0,
            rests_until: None,
            round_ends: now + ROUND,
        }
    }

    /// Whether there may be something to drop.
    pub(super) fn is_due(&self, now: Instant) -> bool {
        self.rests_until.is_none_or(|until| now >= until)
    }

    /// Drops what is due, as far as a commit of `entries` entries has room for it. What it returns is where the sweep
    /// is once that commit has worked; until then nothing has happened.
    pub(super) fn sweep(&self, store: &Connection, entries: usize, now: Instant) -> Result<Self, QueueError> {
        let mut next = Self { rests_until: None, ..*self };
        if now >= self.round_ends {
            (next.cursor, next.round_ends) = (0, now + ROUND);
        }
        let budget = ROWS_MIN + 2 * entries;
        let rows = oldest(store, next.cursor, budget)?;
        let cutoff = unix_ms().saturating_sub(self.kept_ms);
        let due = rows.iter().take_while(|row| row.clock_ms < cutoff);
        let mut passed = 0;
        for row in due {
            if !row.is_live {
                for sql in [DROP_HISTORY, DROP_REQUEST] {
                    let dropped = store.prepare_cached(sql).and_then(|mut drop| drop.execute([row.sequence]));
                    dropped.map_err(storage("drop an old request"))?;
                }
            }
            next.cursor = row.sequence;
            passed += 1;
        }
        if passed < budget {
            next.rests_until = Some(now + PAUSE);
        }
        Ok(next)
    }
}

struct Oldest {
    sequence: i64,
    clock_ms: i64,
    is_live: bool,
}

fn oldest(store: &Connection, after: i64, rows_max: usize) -> Result<Vec<Oldest>, QueueError> {
    let rows_max = i64::try_from(rows_max).unwrap_or(i64::MAX);
    let read = store.prepare_cached(OLDEST).and_then(|mut statement| {
        let row =
            |row: &rusqlite::Row<'_>| Ok(Oldest { sequence: row.get(0)?, clock_ms: row.get(1)?, is_live: row.get(2)? });
        statement.query_map([after, rows_max], row)?.collect()
    });
    read.map_err(storage("look for old requests"))
}

fn unix_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}
