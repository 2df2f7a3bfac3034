//! `.env`: `NAME=VALUE` lines. Values are literal, as at the peer: no escapes, no interpolation, no comments behind
//! them. Quotes around a value are syntax, and a value in quotes may span lines.

use super::{BadLine, Values, known};

/// Reads the known variables; of repeated ones the last counts.
pub(super) fn parse(text: &str) -> Result<Values, BadLine> {
    let mut values = Values::new();
    let mut rest = text;
    let mut line = 0;
    while !rest.is_empty() {
        let (first, after) = rest.split_once('\n').unwrap_or((rest, ""));
        line += 1;
        let entry = first.trim();
        if entry.is_empty() || entry.starts_with('#') {
            rest = after;
            continue;
        }
        let entry = entry.strip_prefix("export ").unwrap_or(entry);
        let (key, value) = entry.split_once('=').ok_or(BadLine { line, why: "expected NAME=VALUE" })?;
        let (value, lines) = match value.trim_start().chars().next() {
            Some(quote @ ('"' | '\'')) => {
                // The value may go on behind this line.
                let onwards = rest.split_once('=').map(|(_, value)| value.trim_start()).unwrap_or_default();
                quoted(onwards, quote).ok_or(BadLine { line, why: "a quote is not closed" })?
            }
            _ => (value.trim(), 1),
        };
        if let Some(name) = known(key.trim()) {
            values.insert(name, value.into());
        }
        line += lines - 1;
        rest = rest.splitn(lines + 1, '\n').nth(lines).unwrap_or_default();
    }
    Ok(values)
}

/// The value between the `quote` that `text` begins with and the one that closes it, and how many lines that takes.
/// The closing quote is the first one, on the line where the next one stands, with nothing but a comment behind it.
fn quoted(text: &str, quote: char) -> Option<(&str, usize)> {
    let inside = text.strip_prefix(quote)?;
    let (before, _) = inside.split_once(quote)?;
    let (_, on_line) = inside.split_at_checked(before.len())?;
    let on_line = on_line.split('\n').next()?;
    let closes = |(at, mark): &(usize, &str)| {
        let behind = on_line.get(at + mark.len()..).unwrap_or_default().trim();
        behind.is_empty() || behind.starts_with('#')
    };
    let (end, _) = on_line.match_indices(quote).find(closes)?;
    let value = inside.get(..before.len() + end)?;
    Some((value, value.matches('\n').count() + 1))
}
