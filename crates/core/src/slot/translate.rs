//! Contexts, outcomes and failures as frames say them, and back. Pure.

use std::{
    collections::BTreeMap,
    ffi::{OsStr, OsString},
    os::unix::ffi::{OsStrExt as _, OsStringExt as _},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use gen_worker_proto::{FunctionName, Pair};
use gen_worker_tasks::Scope;

use super::frame::{Ended, Event, Failure, FrameError, Model, Overlay, Saved, Start};
use crate::{
    context::{CancelFlag, ContextParts, Deadline, Device, EventSink, Lora, OutputMode, RequestEvent},
    executor::EVENT_BYTES_MAX,
    function::{Call, Caller},
    saves::{Asset, FileSaver, OutputDestination},
    scratch::Scratch,
    worker_error::{FailureParts, WorkerError},
};

/// Longest text of a failure. Whoever shows it cuts it much shorter.
const FAILURE_BYTES_MAX: usize = 64 * 1024;

/// A call as a frame.
pub(super) fn start(call: &Call) -> Start {
    let parts = call.context.parts();
    let overlays = parts.loras.iter().flat_map(|(slot, loras)| loras.iter().map(|lora| overlay(slot, lora)));
    Start {
        function: parts.function.as_str().to_owned(),
        request_id: parts.pair.request_id.as_str().to_owned(),
        attempt: parts.pair.attempt.0,
        tenant: parts.tenant.clone(),
        invoker_id: parts.invoker_id.clone(),
        models: parts.models.clone(),
        overlays: overlays.collect(),
        remaining_ms: call.context.time_remaining().map(|left| u64::try_from(left.as_millis()).unwrap_or(u64::MAX)),
        inline: parts.output_mode == OutputMode::Inline,
        cuda: cuda(parts.device),
        summary_bytes_max: u64::try_from(parts.summary_bytes_max).unwrap_or(u64::MAX),
        local: call.caller == Caller::Local,
        payload: call.payload.clone(),
        scratch: parts.scratch.lend().as_deref().map(spelled),
        source: parts.source.as_deref().map(spelled),
    }
}

fn overlay(slot: &str, lora: &Lora) -> Overlay {
    Overlay {
        slot: slot.to_owned(),
        reference: lora.reference.clone(),
        weight: lora.weight,
        id: lora.id.clone(),
        file: spelled(&lora.file),
    }
}

/// An accelerator as a frame says it.
pub(super) fn cuda(device: Device) -> Option<u32> {
    match device {
        Device::Cpu => None,
        Device::Cuda(ordinal) => Some(ordinal),
    }
}

/// And back.
pub(super) fn device(cuda: Option<u32>) -> Device {
    cuda.map_or(Device::Cpu, Device::Cuda)
}

/// The context and the payload of a call that came as a frame.
///
/// # Errors
/// Ids that cannot be.
pub(super) fn call(
    start: Start,
    cancel: CancelFlag,
    events: Arc<dyn EventSink>,
    saver: Arc<dyn FileSaver>,
    scope: &Arc<Scope>,
) -> Result<(ContextParts, Bytes, Caller), FrameError> {
    let garbled = |error: &dyn std::error::Error| FrameError::Garbled(error.to_string());
    let pair = Pair::parse(start.request_id, start.attempt).map_err(|error| garbled(&error))?;
    let function = FunctionName::parse(&start.function).map_err(|error| garbled(&error))?;
    let mut loras: BTreeMap<String, Vec<Lora>> = BTreeMap::new();
    for Overlay { slot, reference, weight, id, file } in start.overlays {
        let file = PathBuf::from(OsString::from_vec(file.into()));
        loras.entry(slot).or_default().push(Lora { reference, weight, id, file });
    }
    let parts = ContextParts {
        tenant: start.tenant,
        invoker_id: start.invoker_id,
        models: start.models,
        loras,
        source: start.source.as_deref().map(path),
        deadline: start.remaining_ms.and_then(|left| Deadline::after(Duration::from_millis(left))),
        cancel,
        events,
        saver,
        scratch: start.scratch.map_or_else(Scratch::nowhere, |place| Scratch::lent(path(&place), scope.clone())),
        output_mode: if start.inline { OutputMode::Inline } else { OutputMode::Url },
        device: device(start.cuda),
        summary_bytes_max: usize::try_from(start.summary_bytes_max).unwrap_or(usize::MAX),
        ..ContextParts::new(pair, function)
    };
    Ok((parts, start.payload, if start.local { Caller::Local } else { Caller::Wire }))
}

/// The end of a call or a set-up as a frame.
pub(super) fn ended(outcome: Result<Option<Bytes>, WorkerError>) -> Ended {
    match outcome {
        Ok(output) => Ended { failure: None, output, measures: None },
        Err(error) => Ended { failure: Some(failure(&error)), ..Ended::default() },
    }
}

/// And back.
pub(super) fn outcome(ended: Ended) -> Result<Option<Bytes>, WorkerError> {
    match ended.failure {
        None => Ok(ended.output),
        Some(failure) => Err(error(failure)),
    }
}

fn failure(error: &WorkerError) -> Failure {
    let FailureParts { class, kind, about, mut message } = error.to_parts();
    message.truncate(message.floor_char_boundary(FAILURE_BYTES_MAX));
    Failure { class, kind, message, about }
}

fn error(failure: Failure) -> WorkerError {
    let Failure { class, kind, message, about } = failure;
    WorkerError::from_parts(FailureParts { class, kind, about, message })
}

/// What became of a save as a frame.
pub(super) fn saved(id: u64, outcome: Result<Asset, WorkerError>) -> Saved {
    // An asset is a few texts and numbers: they can be written.
    let written = outcome.and_then(|asset| {
        serde_json::to_vec(&asset).map_err(|error| WorkerError::fatal("AssetError", error.to_string()))
    });
    match written {
        Ok(asset) => Saved { id, failure: None, asset: asset.into() },
        Err(error) => Saved { id, failure: Some(failure(&error)), asset: Bytes::new() },
    }
}

/// And back.
pub(super) fn save_outcome(saved: Saved) -> Result<Asset, WorkerError> {
    match saved.failure {
        Some(failure) => Err(error(failure)),
        None => {
            serde_json::from_slice(&saved.asset).map_err(|error| WorkerError::fatal("AssetError", error.to_string()))
        }
    }
}

/// Where a file is wanted, as a frame says it.
pub(super) fn destination(to: Option<Bytes>) -> Result<Option<OutputDestination>, WorkerError> {
    let read = |bytes: Bytes| serde_json::from_slice(&bytes);
    to.map(read).transpose().map_err(|_| WorkerError::fatal("SaveError", "the destination cannot be read"))
}

/// An event as a frame. What is larger than an event may be goes without its content.
pub(super) fn event(event: &RequestEvent) -> Event {
    let mut payload = event.payload.to_string();
    if payload.len() > EVENT_BYTES_MAX {
        payload = serde_json::json!({ "truncated": true, "bytes": payload.len() }).to_string();
    }
    Event { kind: event.kind.clone().into_owned(), payload, timestamp: event.timestamp }
}

/// And back; nothing when the text is no JSON.
pub(super) fn request_event(event: Event) -> Option<RequestEvent> {
    let payload = serde_json::from_str(&event.payload).ok()?;
    Some(RequestEvent { kind: event.kind.into(), payload, timestamp: event.timestamp })
}

/// A directory as a frame says it.
pub(super) fn model(reference: String, dir: &Path) -> Model {
    Model { reference, dir: spelled(dir) }
}

/// And back.
pub(super) fn dir(model: &Model) -> PathBuf {
    path(&model.dir)
}

/// A path as the system spells it.
fn spelled(path: impl AsRef<Path>) -> Bytes {
    Bytes::copy_from_slice(path.as_ref().as_os_str().as_bytes())
}

/// A path that came as the system spells it.
pub(super) fn path(bytes: &[u8]) -> PathBuf {
    PathBuf::from(OsStr::from_bytes(bytes))
}
