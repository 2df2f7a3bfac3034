//! Which checkpoint a tag means (Hub contract, 3.10 and 6.22). Pure.

/// Flavors that are taken before others when nothing says which; the empty one is the unlabelled row.
const PREFERRED: [&str; 3] = ["bf16", "fp16", ""];

/// One row of a tag.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Row {
    /// Its label; empty for none.
    pub flavor: String,
    /// The checkpoint.
    pub digest: String,
    /// Whether it holds pickled weights.
    pub unsafe_weights: bool,
}

/// What becomes of rows with pickled weights when none is named.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pickled {
    /// They are never chosen: for who would load them.
    Never,
    /// They are chosen when there is nothing else: for a merge, which must not lose files.
    AsLast,
}

/// The row that `wanted` means, or the default of a tag whose own choice is `default_flavor`.
pub(crate) fn select<'a>(
    rows: &'a [Row],
    default_flavor: Option<&str>,
    wanted: Option<&str>,
    pickled: Pickled,
) -> Option<&'a Row> {
    if let Some(wanted) = wanted {
        return rows.iter().find(|row| row.flavor == wanted);
    }
    let safe: Vec<&Row> = rows.iter().filter(|row| !row.unsafe_weights).collect();
    let all = || rows.iter().collect();
    let rows: Vec<&Row> = if safe.is_empty() && pickled == Pickled::AsLast { all() } else { safe };
    let named = |flavor: &str| rows.iter().copied().find(|row| row.flavor == flavor);
    default_flavor
        .and_then(named)
        .or_else(|| PREFERRED.iter().find_map(|flavor| named(flavor)))
        .or_else(|| rows.iter().copied().min_by(|one, other| one.flavor.cmp(&other.flavor)))
}

#[cfg(test)]
mod tests;
