//! What a conversion, a dataset or a training is made from: `payload.source`, on this machine before the handler runs (wire
//! contract, 9.8; model contract, 3.10). Owns nothing but what keeps it on disk.

use std::{collections::HashMap, path::PathBuf};

use gen_worker_proto::pb;

use crate::{
    Binding, ModelSource, NoProgress, WorkerError,
    binding::{BindingError, Provider, civitai, hf, hub, modelscope},
    codec::{DecodeError, Reader, Token},
    endpoint::Kind,
    model_fetch,
    model_source::FetchedModel,
};

/// The field of a payload, and where it stands, for people.
const FIELD: &str = "source";
const PLACE: &str = "payload.source";

/// Longest ref that is looked at; longer ones are none that is anywhere.
const REF_BYTES_MAX: usize = 1_024;

/// The source of one job. It stays on disk for as long as this lives.
#[derive(Debug)]
pub(crate) struct JobSource(FetchedModel);

impl JobSource {
    /// Its directory, or its one file.
    pub(crate) fn path(&self) -> PathBuf {
        self.0.dir().to_owned()
    }
}

/// Whether a job of a function of this kind has to wait for its source.
pub(crate) fn concerns(kind: Kind, payload: &[u8]) -> bool {
    kind != Kind::Inference && !matches!(named(payload), Ok(None))
}

/// Makes the source present that `payload` names, pinned by the `snapshots` of the dispatch (by ref). None where it names none.
///
/// # Errors
/// Invalid when what it names can be no source; as [`WorkerError::model_unavailable`] when it cannot be had.
///
/// # Cancel safety
/// May be dropped; what came so far may stay on disk.
pub(crate) async fn bring(
    models: &dyn ModelSource,
    payload: &[u8],
    snapshots: &HashMap<String, pb::Snapshot>,
) -> Result<Option<JobSource>, WorkerError> {
    let Some(named) = named(payload)? else { return Ok(None) };
    let binding = named.binding()?;
    let snapshot = snapshots.get(named.reference).or_else(|| snapshots.get(named.reference.trim()));
    let fetched = model_fetch::fetch(models, &binding, snapshot, &NoProgress).await;
    let fetched = fetched.map_err(|error| WorkerError::model_unavailable(named.reference.trim(), error))?;
    Ok(Some(JobSource(fetched)))
}

/// What a payload says of its source.
#[derive(Debug, PartialEq, Eq)]
struct Named<'a> {
    /// As it stands there: the orchestrator names its files so.
    reference: &'a str,
    provider: Provider,
}

impl Named<'_> {
    /// The text as what its provider calls a ref: bindings have other defaults.
    fn binding(&self) -> Result<Binding, WorkerError> {
        let Self { reference, provider } = self;
        let builder = match provider {
            Provider::Hub => hub(*reference),
            Provider::HuggingFace => hf(*reference),
            // A ref names a version (rule 1.9).
            Provider::Civitai => civitai(reference).version(reference),
            Provider::ModelScope => modelscope(*reference),
        };
        builder.build().map_err(|error: BindingError| invalid("ref", error))
    }
}

/// What `payload` names as its source. A field of that name which is no map with something in it is the author's own affair, as is a
/// payload that cannot be read: decoding tells what is wrong with it.
///
/// # Errors
/// Invalid when its ref or its provider is none.
fn named(payload: &[u8]) -> Result<Option<Named<'_>>, WorkerError> {
    let Some([Some(fields)]) = values(payload, [FIELD]) else { return Ok(None) };
    let Some([reference, provider]) = values(fields, ["ref", "provider"]) else { return Ok(None) };
    if is_empty_map(fields) {
        return Ok(None);
    }
    let provider = match provider.map(text) {
        None => Provider::Hub,
        Some(Some(name)) => name.parse().map_err(|error| invalid("provider", error))?,
        Some(None) => return Err(invalid("provider", "not a text")),
    };
    match reference.map(text) {
        Some(Some(reference)) if reference.len() > REF_BYTES_MAX => {
            Err(invalid("ref", format!("longer than {REF_BYTES_MAX} bytes")))
        }
        Some(Some(reference)) if !reference.trim().is_empty() => Ok(Some(Named { reference, provider })),
        _ => Err(invalid("ref", "must be the ref of a model")),
    }
}

fn invalid(field: &str, why: impl std::fmt::Display) -> WorkerError {
    WorkerError::validation(format!("{PLACE}.{field}: {why}"))
}

fn is_empty_map(value: &[u8]) -> bool {
    matches!(Reader::new(value).token(), Ok(Token::Map(0)))
}

/// A value that is a text; none for anything else.
fn text(value: &[u8]) -> Option<&str> {
    match Reader::new(value).token() {
        Ok(Token::Str(text)) => Some(text),
        _ => None,
    }
}

/// The values under these keys of the map `value`, the last of each, without those that are nil. None for anything but a map.
fn values<'a, const N: usize>(value: &'a [u8], keys: [&str; N]) -> Option<[Option<&'a [u8]>; N]> {
    read_values(value, keys).ok().flatten()
}

fn read_values<'a, const N: usize>(
    value: &'a [u8],
    keys: [&str; N],
) -> Result<Option<[Option<&'a [u8]>; N]>, DecodeError> {
    let mut reader = Reader::new(value);
    let Token::Map(entries) = reader.token()? else { return Ok(None) };
    let mut found = [None; N];
    for _ in 0..entries {
        let key = raw(&mut reader)?;
        let value = raw(&mut reader)?;
        for (known, place) in keys.iter().zip(&mut found) {
            if text(key) == Some(*known) {
                *place = Some(value).filter(|value| !Reader::new(value).next_is_nil());
            }
        }
    }
    Ok(Some(found))
}

/// The bytes of one value.
fn raw<'a>(reader: &mut Reader<'a>) -> Result<&'a [u8], DecodeError> {
    let start = reader.position();
    reader.skip()?;
    Ok(reader.since(start))
}

#[cfg(test)]
mod tests;
