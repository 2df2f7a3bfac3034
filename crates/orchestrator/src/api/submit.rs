//! From a checked call to a request in the pool. Shared by every route that takes work in.

use std::sync::Arc;

use bytes::Bytes;
use gen_worker_proto::{FunctionName, RequestId};
use serde_json::Value;

use super::{code::Code, error::ApiError, extract::Caller, idempotency::Key, options::Call, state::Api};
use crate::{
    payload::{AsJson, digest},
    pool::{SubmitError, Submitted},
    request::{Durability, NewRequest, Options, Request, UnixMs},
};

/// Largest metadata of a request, in bytes: labels, not data.
const METADATA_BYTES_MAX: usize = 64 * 1024;

/// What a call wants to run.
#[derive(Debug)]
pub(super) struct Work<'a> {
    /// As the caller wrote it.
    pub(super) function: &'a str,
    /// MessagePack map.
    pub(super) payload: Bytes,
    /// MessagePack value.
    pub(super) metadata: Option<&'a [u8]>,
}

/// A request that was taken in, now or before.
#[derive(Debug)]
pub(super) struct Taken {
    pub(super) request: Arc<Request>,
    pub(super) created: bool,
}

/// How the id of a new request comes about.
#[derive(Debug)]
pub(super) enum Identity<'a> {
    /// We make one.
    Fresh,
    /// The client chose it.
    Chosen(RequestId),
    /// It follows from an idempotency key.
    Keyed(Key<'a>),
}

/// Takes one request in. On return it is as durable as its options say.
pub(super) async fn submit(
    api: &Api,
    caller: &Caller,
    identity: Identity<'_>,
    work: Work<'_>,
    call: &Call,
    now: UnixMs,
) -> Result<Taken, ApiError> {
    let id = match &identity {
        Identity::Fresh => super::request_id::fresh(),
        Identity::Chosen(id) => id.clone(),
        Identity::Keyed(key) => key.id(),
    };
    let new = build(api, caller, id.clone(), work, call, now)?;
    if let Identity::Keyed(key) = &identity
        && let Some(request) = key.earlier(api, &new).await?
    {
        return Ok(Taken { request, created: false });
    }
    let repeat = (!matches!(identity, Identity::Fresh)).then(|| Repeat::of(&new));
    if new.options.durability == Durability::Memory
        && let Some(repeat) = &repeat
        && let Some(request) = repeat.find(api).await?
    {
        // The pool looks for the ids of memory requests in memory only; durable ones leave it after their end.
        return Ok(Taken { request, created: false });
    }
    let function = new.function.clone();
    let results = api.handle.submit(vec![new], call.require_worker).await?;
    match results.into_iter().next() {
        Some(Ok(Submitted::Created(request))) => Ok(Taken { request, created: true }),
        Some(Ok(Submitted::Existing(request))) => Ok(Taken { request, created: false }),
        Some(Err(error)) => {
            // A full queue or a missing worker refuses new work, not the repeat of what was taken in before.
            if !matches!(error, SubmitError::Conflict)
                && let Some(repeat) = &repeat
                && let Some(request) = repeat.find(api).await?
            {
                return Ok(Taken { request, created: false });
            }
            let error = ApiError::refused(error, function.as_str());
            // Only a chosen id means something to its client; a fresh one never came to life.
            Err(if matches!(identity, Identity::Chosen(_)) { error.about(&id) } else { error })
        }
        None => Err(ApiError::new(Code::Unavailable, "the pool did not answer")),
    }
}

/// What a request that may be a repeat has to equal (P-2).
#[derive(Debug)]
struct Repeat {
    id: RequestId,
    body_digest: [u8; 32],
    tenant: String,
    function: FunctionName,
}

impl Repeat {
    fn of(new: &NewRequest) -> Self {
        Self {
            id: new.id.clone(),
            body_digest: new.body_digest,
            tenant: new.tenant.clone(),
            function: new.function.clone(),
        }
    }

    /// The request taken in before under this id; a conflict when that was another one.
    async fn find(&self, api: &Api) -> Result<Option<Arc<Request>>, ApiError> {
        let Some(request) = api.handle.get(&self.id).await? else { return Ok(None) };
        if request.submitted.body_digest != self.body_digest || request.submitted.tenant != self.tenant {
            return Err(ApiError::refused(SubmitError::Conflict, self.function.as_str()).about(&self.id));
        }
        Ok(Some(request))
    }
}

fn build(
    api: &Api,
    caller: &Caller,
    id: RequestId,
    work: Work<'_>,
    call: &Call,
    now: UnixMs,
) -> Result<NewRequest, ApiError> {
    let function = function(work.function)?;
    let metadata = work.metadata.map_or(Ok(Value::Null), metadata)?;
    let metadata_digest = work.metadata.map_or(Ok([0; 32]), |packed| digest(packed, &[]))?;
    let options = Options { deadline: None, ..call.options.clone() };
    let options_text = if options == Options::default() {
        Vec::new()
    } else {
        serde_json::to_vec(&options).expect("numbers and text serialize")
    };
    let context: [&[u8]; 4] =
        [function.as_str().as_bytes(), &options_text, &call.deadline_ms.to_le_bytes(), &metadata_digest];
    let body_digest = digest(&work.payload, &context)?;
    Ok(NewRequest {
        id,
        function,
        tenant: caller.tenant.as_ref().to_owned(),
        release_id: api.options.release_id.clone(),
        payload: work.payload,
        body_digest,
        options: call.options.clone(),
        metadata,
        created_at: now,
    })
}

/// A function by its name in any spelling.
pub(super) fn function(name: &str) -> Result<FunctionName, ApiError> {
    FunctionName::parse(name).map_err(|_| {
        let shown: String = name.chars().take(128).collect();
        ApiError::refused(SubmitError::UnknownFunction { near: Vec::new() }, &shown)
    })
}

fn metadata(packed: &[u8]) -> Result<Value, ApiError> {
    if packed.len() > METADATA_BYTES_MAX {
        let message = format!("`metadata` is larger than its limit of {METADATA_BYTES_MAX} bytes");
        return Err(ApiError::new(Code::PayloadTooLarge, message));
    }
    serde_json::to_value(AsJson(packed))
        .map_err(|error| ApiError::new(Code::Invalid, format!("`metadata` cannot be shown as JSON: {error}")))
}
