//! `models list` and `models du`: what is there.

use gen_worker_store::{Store, StoredModel};
use indicatif::BinaryBytes;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::failed;
use crate::{
    console::{print_document, print_line},
    exit::{Exit, Outcome},
};

/// Prints every model.
pub(super) async fn list(store: &Store, json: bool) -> Outcome {
    let models = store.models().await.map_err(|error| failed(&error))?;
    if json {
        let rows = models.iter().map(|(reference, model)| row(reference, model)).collect();
        print_document(&Value::Array(rows), false)?;
        return Ok(Exit::Success);
    }
    let cells = models.iter().map(|(reference, model)| {
        let pinned = if model.pinned { "yes" } else { "" };
        let size = BinaryBytes(model.bytes).to_string();
        [reference.clone(), size, used(model), pinned.to_owned(), model.path.display().to_string()]
    });
    let header = ["REF", "SIZE", "LAST USED", "PINNED", "PATH"].map(str::to_owned);
    table(std::iter::once(header).chain(cells).collect())?;
    Ok(Exit::Success)
}

/// Prints how much they take.
pub(super) async fn usage(store: &Store, json: bool) -> Outcome {
    let models = store.models().await.map_err(|error| failed(&error))?;
    let usage = store.usage().await.map_err(|error| failed(&error))?;
    if json {
        let rows: Vec<_> = models.iter().map(|(reference, model)| row(reference, model)).collect();
        let document = json!({
            "available_bytes": usage.available_bytes,
            "models": rows,
            "root": usage.root,
            "total_bytes": usage.total_bytes,
            "unfinished_bytes": usage.unfinished_bytes,
        });
        print_document(&document, false)?;
        return Ok(Exit::Success);
    }
    let size = |bytes| BinaryBytes(bytes).to_string();
    let mut rows: Vec<_> = models.into_iter().map(|(reference, model)| [size(model.bytes), reference]).collect();
    rows.push([size(usage.unfinished_bytes), "(unfinished downloads)".to_owned()]);
    rows.push([size(usage.total_bytes), format!("in all, at {}", usage.root.display())]);
    rows.extend(usage.available_bytes.map(|bytes| [size(bytes), "still fit".to_owned()]));
    table(rows)?;
    Ok(Exit::Success)
}

/// A model as a JSON object.
pub(super) fn row(reference: &str, model: &StoredModel) -> Value {
    json!({
        "bytes": model.bytes,
        "last_used": model.last_used,
        "path": model.path,
        "pinned": model.pinned,
        "ref": reference,
    })
}

/// When it was used last, to the second. An index may say anything.
fn used(model: &StoredModel) -> String {
    #[expect(clippy::cast_possible_truncation, reason = "a time beyond the numbers is no time, and seconds are enough")]
    let seconds = model.last_used as i64;
    Timestamp::from_second(seconds).map(|at| at.to_string()).unwrap_or_default()
}

/// Prints rows whose columns stand below each other. The last column is not padded.
fn table<const N: usize>(rows: Vec<[String; N]>) -> Result<(), crate::exit::Failure> {
    let width = |column: usize| rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max();
    let widths: Vec<_> = (0..N).map(|column| width(column).unwrap_or(0)).collect();
    for row in &rows {
        let padded = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}"));
        print_line(padded.collect::<Vec<_>>().join("  ").trim_end())?;
    }
    Ok(())
}
