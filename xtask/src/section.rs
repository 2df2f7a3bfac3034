//! Sections of checked-in pages that a command writes, between markers `<!-- name:begin -->` and `<!-- name:end -->`.

use std::path::Path;

use anyhow::{Context, Result, bail};

/// Puts `body` into section `name` of the file.
pub(crate) fn replace(file: &Path, name: &str, body: &str) -> Result<()> {
    let old = std::fs::read_to_string(file).with_context(|| format!("read {}", file.display()))?;
    let new = with(&old, name, body).with_context(|| format!("update {}", file.display()))?;
    std::fs::write(file, new).with_context(|| format!("write {}", file.display()))
}

/// The text with `body` in section `name`.
pub(crate) fn with(text: &str, name: &str, body: &str) -> Result<String> {
    let (begin, end) = (format!("<!-- {name}:begin -->"), format!("<!-- {name}:end -->"));
    let Some((before, rest)) = text.split_once(&begin) else { bail!("the marker `{begin}` is missing") };
    let Some((_, after)) = rest.split_once(&end) else { bail!("the marker `{end}` is missing") };
    Ok(format!("{before}{begin}\n{}\n{end}{after}", body.trim()))
}

/// What stands in section `name` now.
pub(crate) fn read<'text>(text: &'text str, name: &str) -> Option<&'text str> {
    let (_, rest) = text.split_once(&format!("<!-- {name}:begin -->"))?;
    let (body, _) = rest.split_once(&format!("<!-- {name}:end -->"))?;
    Some(body.trim())
}

#[cfg(test)]
mod tests;
