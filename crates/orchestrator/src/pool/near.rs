//! Names that look like a name: for "unknown function" answers.

/// Most names offered: a hint, not a listing.
const NAMES_MAX: usize = 5;

/// Names of `known` that resemble `name`, nearest first.
pub(crate) fn near<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> Vec<String> {
    let limit = (name.len() / 3).max(2);
    let mut found: Vec<(usize, &str)> = known
        .filter_map(|candidate| {
            // Very short names are part of too many others.
            let telling = name.len().min(candidate.len()) >= 3;
            let contains = telling && (candidate.contains(name) || name.contains(candidate));
            let distance = distance(name.as_bytes(), candidate.as_bytes());
            (contains || distance <= limit).then_some((distance, candidate))
        })
        .collect();
    found.sort_unstable();
    found.into_iter().take(NAMES_MAX).map(|(_, name)| name.to_owned()).collect()
}

/// Edit distance; names are slugs, so bytes are characters.
fn distance(a: &[u8], b: &[u8]) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        let mut diagonal = i;
        let mut left = i + 1;
        for (cell, y) in row.iter_mut().skip(1).zip(b) {
            let above = *cell;
            left = (diagonal + usize::from(x != y)).min(above + 1).min(left + 1);
            diagonal = above;
            *cell = left;
        }
        if let Some(first) = row.first_mut() {
            *first = i + 1;
        }
    }
    row.last().copied().unwrap_or(a.len())
}

#[cfg(test)]
mod tests {
    use super::{distance, near};

    #[test]
    fn p5_near_names_are_nearest_first() {
        let known = ["embed", "embed-text", "marco-polo", "x"];
        assert_eq!(near("embde", known.into_iter()), ["embed"]);
        assert_eq!(near("embed-tex", known.into_iter()), ["embed-text", "embed"]);
        assert_eq!(near("marcopolo", known.into_iter()), ["marco-polo"]);
        assert!(near("segment", known.into_iter()).is_empty());
    }

    #[test]
    fn distance_counts_edits() {
        assert_eq!(distance(b"", b"abc"), 3);
        assert_eq!(distance(b"kitten", b"sitting"), 3);
        assert_eq!(distance(b"same", b"same"), 0);
    }
}
