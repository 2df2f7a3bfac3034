//! What a conversion, a dataset or a training is made from: `payload.source`, on this machine before the handler runs (wire
//! contract, 9.8; model contract, 3.10). Owns nothing but what keeps it on disk.

use std::{collections::HashMap, path::PathBuf};

use gen_worker_proto::pb;
use serde_json::Value;

use crate::{
    ModelError, ModelSource, NoProgress, WorkerError,
    binding::hub,
    codec::{DecodeError, Reader, Token},
    endpoint::Kind,
    model_fetch,
    model_source::FetchedModel,
};

/// The field of a payload.
const FIELD: &str = "source";

/// The source of one job. It stays on disk for as long as this lives.
#[derive(Debug)]
pub(crate) struct JobSource(FetchedModel);

impl JobSource {
    /// Its directory, or its one file.
    pub(crate) fn path(&self) -> PathBuf {
        self.0.dir().to_owned()
    }
}

/// Whether payloads with this schema have a place for a source. One that says nothing of its fields may have any.
pub(crate) fn has_place(kind: Kind, schema: impl FnOnce() -> Value) -> bool {
    kind.is_producer() && schema().get("properties").is_none_or(|fields| fields.get(FIELD).is_some())
}

/// Makes the source `reference` present, whose files have to be among the `snapshots` of the dispatch (by ref): the
/// orchestrator alone knows whether the tenant may have it, whatever is on this disk or could be had as whom this worker is.
///
/// # Errors
/// As [`WorkerError::model_unavailable`].
///
/// # Cancel safety
/// May be dropped; what came so far may stay on disk.
pub(crate) async fn bring(
    models: &dyn ModelSource,
    reference: &str,
    snapshots: &HashMap<String, pb::Snapshot>,
) -> Result<JobSource, WorkerError> {
    let unavailable = |error| WorkerError::model_unavailable(reference, error);
    let snapshot = snapshots.get(reference);
    let snapshot = snapshot.ok_or_else(|| unavailable(ModelError::MissingSnapshot(reference.to_owned())))?;
    // Only names it: with its files nobody is asked for anything else.
    let binding = hub(reference).build().map_err(invalid)?;
    let fetched = model_fetch::fetch(models, &binding, Some(snapshot), &NoProgress).await;
    fetched.map(JobSource).map_err(unavailable)
}

/// The ref that `payload` names as its source, without blanks around it. A field of that name which is no map with something in it
/// is the author's own affair, as is a payload that cannot be read: decoding tells what is wrong with it.
///
/// # Errors
/// Invalid when there is no ref in it.
pub(crate) fn named(payload: &[u8]) -> Result<Option<&str>, WorkerError> {
    let Some(fields) = value(payload, FIELD).filter(|fields| is_full_map(fields)) else { return Ok(None) };
    match value(fields, "ref").and_then(text).map(str::trim) {
        Some(reference) if !reference.is_empty() => Ok(Some(reference)),
        _ => Err(invalid("must be the ref of a model")),
    }
}

fn invalid(why: impl std::fmt::Display) -> WorkerError {
    WorkerError::validation(format!("payload.{FIELD}.ref: {why}"))
}

fn is_full_map(value: &[u8]) -> bool {
    matches!(Reader::new(value).token(), Ok(Token::Map(entries)) if entries > 0)
}

/// A value that is a text; none for anything else.
fn text(value: &[u8]) -> Option<&str> {
    match Reader::new(value).token() {
        Ok(Token::Str(text)) => Some(text),
        _ => None,
    }
}

/// The value under this key of the map `value`, the last of them. None for anything but a map.
fn value<'a>(value: &'a [u8], key: &str) -> Option<&'a [u8]> {
    read_value(value, key).ok().flatten()
}

fn read_value<'a>(value: &'a [u8], key: &str) -> Result<Option<&'a [u8]>, DecodeError> {
    let mut reader = Reader::new(value);
    let Token::Map(entries) = reader.token()? else { return Ok(None) };
    let mut found = None;
    for _ in 0..entries {
        let name = reader.raw()?;
        let value = reader.raw()?;
        if text(name) == Some(key) {
            found = Some(value);
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests;
