//! What to embed, and which of it is alike.

use anyhow::{Context, Result, ensure};
use serde_json::Value;

/// How many pairs are shown.
const PAIRS: usize = 5;

/// Sentences about few things in different words.
pub(super) const SENTENCES: [&str; 12] = [
    "The cat sleeps on the warm windowsill.",
    "A kitten is napping in the sun by the window.",
    "The central bank raised interest rates by half a point.",
    "Borrowing became more expensive after the rate increase.",
    "How do I reset my password?",
    "I forgot my login and cannot get into my account.",
    "The train to Berlin leaves at a quarter past seven.",
    "Our railway connection departs at 7:15 in the morning.",
    "Add two eggs and whisk until the batter is smooth.",
    "Mix the flour with milk and beaten eggs.",
    "The telescope photographed a galaxy ten billion light years away.",
    "Astronomers observed one of the most distant galaxies.",
];

/// The vectors in the endpoint's output, one per text.
pub(super) fn vectors(output: &Value, texts: usize) -> Result<Vec<Vec<f64>>> {
    let vectors = output.get("embeddings").with_context(|| format!("the output has no `embeddings`: {output}"))?;
    let vectors: Vec<Vec<f64>> = serde_json::from_value(vectors.clone()).context("read the embeddings")?;
    ensure!(vectors.len() == texts, "{texts} texts gave {} embeddings", vectors.len());
    Ok(vectors)
}

/// The most similar pairs as (cosine similarity, index, index), the nearest first.
pub(super) fn nearest(vectors: &[Vec<f64>]) -> Vec<(f64, usize, usize)> {
    let mut pairs: Vec<(f64, usize, usize)> = Vec::new();
    for (left, one) in vectors.iter().enumerate() {
        for (right, other) in vectors.iter().enumerate().skip(left + 1) {
            pairs.push((cosine(one, other), left, right));
        }
    }
    pairs.sort_by(|one, other| other.0.total_cmp(&one.0));
    pairs.truncate(PAIRS);
    pairs
}

fn cosine(left: &[f64], right: &[f64]) -> f64 {
    let dot = |left: &[f64], right: &[f64]| left.iter().zip(right).map(|(left, right)| left * right).sum::<f64>();
    dot(left, right) / (dot(left, left) * dot(right, right)).sqrt()
}

#[cfg(test)]
mod tests;
