//! The result of one call.

/// One vector per text, in the order of the texts.
#[derive(Debug, Clone, PartialEq)]
pub struct Embeddings {
    values: Vec<f32>,
    dimension: usize,
    token_counts: Vec<usize>,
}

impl Embeddings {
    pub(super) fn new(values: Vec<f32>, dimension: usize, token_counts: Vec<usize>) -> Self {
        debug_assert_eq!(values.len(), dimension * token_counts.len());
        Self { values, dimension, token_counts }
    }

    /// All vectors end to end: row-major `[texts, dimension]`.
    #[must_use]
    pub fn values(&self) -> &[f32] {
        &self.values
    }

    /// Takes the vectors out, as [`values`](Self::values) has them.
    #[must_use]
    pub fn into_values(self) -> Vec<f32> {
        self.values
    }

    /// The vectors one by one.
    pub fn rows(&self) -> impl ExactSizeIterator<Item = &[f32]> {
        self.values.chunks_exact(self.dimension)
    }

    /// Values of one vector.
    #[must_use]
    pub fn dimension(&self) -> usize {
        self.dimension
    }

    /// Number of texts.
    #[must_use]
    pub fn len(&self) -> usize {
        self.token_counts.len()
    }

    /// Whether there were no texts.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.token_counts.is_empty()
    }

    /// Tokens of each text as they were computed: special tokens included, after truncation.
    #[must_use]
    pub fn token_counts(&self) -> &[usize] {
        &self.token_counts
    }
}
