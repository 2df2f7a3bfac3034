//! Packed batches: the tokens of all texts in one row of rows, without padding.
//!
//! ```text
//! texts     [CLS] a b [SEP]   [CLS] c [SEP]        starts = [0, 4, 7]
//! rows        0   1 2   3       4   5   6
//! ```
//! A batch is plain data. It is valid by construction: ids are checked against the model before they get here.

use std::ops::Range;

/// Token ids of one text, as the tokenizer gave them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TokenSequence {
    /// Vocabulary ids.
    pub(crate) ids: Vec<u32>,
    /// Segment ids, as many as `ids`.
    pub(crate) segments: Vec<u32>,
}

/// The sequences of one pass through the encoder, end to end.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct PackedBatch {
    ids: Vec<u32>,
    segments: Vec<u32>,
    /// First row of each sequence, and the number of rows as the last entry.
    starts: Vec<usize>,
    /// Sequence of each row.
    owners: Vec<u32>,
}

impl PackedBatch {
    /// Packs sequences in order.
    pub(crate) fn new(sequences: &[TokenSequence]) -> Self {
        let rows = sequences.iter().map(|sequence| sequence.ids.len()).sum();
        let mut batch = Self {
            ids: Vec::with_capacity(rows),
            segments: Vec::with_capacity(rows),
            starts: Vec::with_capacity(sequences.len() + 1),
            owners: Vec::with_capacity(rows),
        };
        batch.starts.push(0);
        for (owner, sequence) in (0_u32..).zip(sequences) {
            batch.ids.extend_from_slice(&sequence.ids);
            batch.segments.extend_from_slice(&sequence.segments);
            batch.owners.resize(batch.ids.len(), owner);
            batch.starts.push(batch.ids.len());
        }
        batch
    }

    /// Tokens of all sequences.
    pub(crate) fn rows(&self) -> usize {
        self.ids.len()
    }

    /// Number of sequences.
    pub(crate) fn sequences(&self) -> usize {
        self.starts.len().saturating_sub(1)
    }

    /// Rows of one sequence.
    pub(crate) fn sequence(&self, index: usize) -> Range<usize> {
        self.starts[index]..self.starts[index + 1]
    }

    /// Vocabulary id and segment id of each of some rows, with the row's position in its sequence.
    pub(crate) fn tokens(&self, rows: Range<usize>) -> impl Iterator<Item = (u32, u32, usize)> + '_ {
        rows.map(|row| (self.ids[row], self.segments[row], row - self.starts[self.owners[row] as usize]))
    }

    /// The sequences that have rows in `rows`: each with its own rows and the part of them that lies in `rows`.
    pub(crate) fn overlaps(&self, rows: Range<usize>) -> impl Iterator<Item = (Range<usize>, Range<usize>)> + '_ {
        let first = self.owners.get(rows.start).map_or(0, |owner| *owner as usize);
        (first..self.sequences())
            .map(|index| self.sequence(index))
            .take_while(move |sequence| sequence.start < rows.end)
            .filter(|sequence| !sequence.is_empty())
            .map(move |sequence| {
                let part = sequence.start.max(rows.start)..sequence.end.min(rows.end);
                (sequence, part)
            })
    }
}

/// Cuts sequences into passes of at most `budget` tokens, in order; a longer sequence is a pass of its own.
pub(crate) fn passes(lengths: &[usize], budget: usize) -> Vec<Range<usize>> {
    let mut passes = Vec::new();
    let (mut start, mut tokens) = (0, 0);
    for (index, length) in lengths.iter().enumerate() {
        if index > start && tokens + length > budget {
            passes.push(start..index);
            (start, tokens) = (index, 0);
        }
        tokens += length;
    }
    if start < lengths.len() {
        passes.push(start..lengths.len());
    }
    passes
}

#[cfg(test)]
mod tests;
