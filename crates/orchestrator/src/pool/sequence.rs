//! One order over two homes of requests. The store numbers durable requests; memory requests are numbered between
//! them, so that a page over both is stable and has no double.
//!
//! ```text
//! pool sequence = store sequence << 24 | place among the memory requests that came after that row
//! ```

use crate::queue::Filter;

/// Bits for memory requests between two durable ones: 16 million, far more than are kept in memory, so that places
/// can be used again; what is left has room for 500 billion rows.
const PLACE_BITS: u32 = 24;

/// Numbers memory requests.
#[derive(Debug, Default)]
pub(crate) struct Numbers {
    /// Pool sequence of the newest stored row seen.
    anchor: i64,
    place: i64,
}

impl Numbers {
    /// Pool sequence of a row that was just stored or read.
    pub(crate) fn stored(&mut self, sequence: i64) -> i64 {
        let sequence = of_stored(sequence);
        if sequence > self.anchor {
            *self = Self { anchor: sequence, place: 0 };
        }
        sequence
    }

    /// A sequence for a memory request. `taken` tells the ones in use: places are used again after 16 million.
    pub(crate) fn memory(&mut self, taken: impl Fn(i64) -> bool) -> i64 {
        loop {
            self.place = (self.place + 1) & ((1 << PLACE_BITS) - 1);
            let sequence = self.anchor | self.place;
            if self.place != 0 && !taken(sequence) {
                return sequence;
            }
        }
    }
}

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
    use super::{Numbers, for_store, of_stored};
    use crate::queue::Filter;

    #[test]
    fn p20_memory_requests_are_numbered_between_rows() {
        let mut numbers = Numbers::default();
        let row = numbers.stored(3);
        let first = numbers.memory(|_| false);
        let second = numbers.memory(|sequence| sequence == first + 1);
        let next = numbers.stored(4);
        assert!(row < first && first < second && second < next);
        assert_eq!(second, first + 2, "a place in use is skipped");
        numbers.stored(2);
        assert!(numbers.memory(|_| false) > next, "an older row does not move the anchor back");
    }

    #[test]
    fn p20_a_cursor_between_stored_rows_keeps_the_row_below_it() {
        let before =
            |sequence| for_store(&Filter { before_sequence: Some(sequence), ..Filter::default() }).before_sequence;
        assert_eq!(before(of_stored(7)), Some(7), "the row itself is excluded");
        assert_eq!(before(of_stored(7) + 1), Some(8), "a memory request after row 7: row 7 is next");
    }
}
