//! One order over two homes of requests. The store numbers durable requests; memory requests are numbered between
//! them, so that a page over both is stable and has no double.
//!
//! ```text
//! pool sequence = store sequence << 20 | place among the memory requests that came after that row
//! ```

use crate::queue::Filter;

/// Bits for memory requests between two durable ones. A million of them before the next durable row: more than
/// are kept in memory.
const PLACE_BITS: u32 = 20;

/// Pool sequence of a stored row.
pub(crate) fn of_stored(sequence: i64) -> i64 {
    sequence << PLACE_BITS
}

/// The same page as the store understands it.
pub(crate) fn for_store(filter: &Filter) -> Filter {
    let mut filter = filter.clone();
    // Rows with `sequence << bits < before` are those below the next whole step.
    filter.before_sequence = filter.before_sequence.map(|before| {
        let step = 1_i64 << PLACE_BITS;
        before.div_euclid(step) + i64::from(before.rem_euclid(step) > 0)
    });
    filter
}

#[cfg(test)]
mod tests {
    use super::{for_store, of_stored};
    use crate::queue::Filter;

    #[test]
    fn p20_a_cursor_between_stored_rows_keeps_the_row_below_it() {
        let before = |sequence| {
            for_store(&Filter { before_sequence: Some(sequence), ..Filter::default() }).before_sequence
        };
        assert_eq!(before(of_stored(7)), Some(7), "the row itself is excluded");
        assert_eq!(before(of_stored(7) + 1), Some(8), "a memory request after row 7: row 7 is next");
    }
}
