//! A routable function: what is known about it, and how a call of it starts.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, OnceLock},
    time::Duration,
};

use bytes::Bytes;
use futures::{future::BoxFuture, stream::BoxStream};
use gen_worker_proto::FunctionName;

use crate::{
    binding::Binding,
    codec,
    context::RequestContext,
    endpoint::{CallFn, Isolation, Kind, OutputShape, Resources, TypeDecl},
    inputs::FileShapes,
    instance::{Borrowed, CallSlot, Instance, InstanceCell},
    io_type::Payload,
    job_source,
    worker_error::{Result, WorkerError},
};

/// A function of the [`crate::Registry`]. Immutable.
pub struct Function {
    pub(crate) name: FunctionName,
    pub(crate) spelling: String,
    pub(crate) module: &'static str,
    pub(crate) type_name: Option<&'static str>,
    pub(crate) method: &'static str,
    pub(crate) kind: Kind,
    pub(crate) slots: BTreeMap<String, Binding>,
    pub(crate) resources: Resources,
    pub(crate) timeout: Option<Duration>,
    pub(crate) isolation: Isolation,
    pub(crate) shape: OutputShape,
    pub(crate) blocking: bool,
    pub(crate) payload: TypeDecl,
    pub(crate) output: TypeDecl,
    pub(crate) call: CallFn,
    pub(crate) instance: Option<Arc<InstanceCell>>,
    /// Where its payloads may name files; looked at when the first comes.
    pub(crate) files: OnceLock<Option<FileShapes>>,
    /// Whether they have a place for a source; looked at likewise.
    pub(crate) source: OnceLock<bool>,
}

/// One call of a handler.
pub struct Call {
    /// The request.
    pub context: RequestContext,
    /// The encoded payload.
    pub payload: Bytes,
    /// The instance of the endpoint type, or the models of a function that takes slots.
    pub instance: Option<Instance>,
    /// Who calls.
    pub caller: Caller,
}

/// Who calls decides how values are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Caller {
    /// The wire: MessagePack in, frames by wire contract 8.5 out.
    #[default]
    Wire,
    /// A person or a program on this machine: the payload stood in JSON, where bytes are base64 text, and every
    /// streamed item comes out as one JSON document.
    Local,
}

/// The work of one call, not started yet.
pub enum Invocation {
    /// Polled on the event loop; gives the encoded output.
    Async(BoxFuture<'static, Result<Bytes>>),
    /// Run on the blocking pool; gives the encoded output.
    Blocking(Box<dyn FnOnce() -> Result<Bytes> + Send>),
    /// Polled on the event loop: zero or more chunks, then exactly one [`Frame::End`] or error, then nothing.
    Stream(BoxStream<'static, Result<Frame>>),
}

/// What a streaming handler gives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Frame {
    /// One item.
    Chunk {
        /// Its media type.
        content_type: &'static str,
        /// Its encoding.
        data: Bytes,
    },
    /// The end, with the encoded summary of what was streamed if there is something to sum up.
    End(Option<Bytes>),
}

impl Call {
    /// The payload as what the handler takes.
    ///
    /// # Errors
    /// [`WorkerError::decode`].
    pub fn decode<P: Payload>(&self) -> Result<P> {
        match self.caller {
            Caller::Wire => codec::decode(&self.payload),
            Caller::Local => codec::decode_from_json(&self.payload),
        }
    }

    /// The instance as what it is.
    ///
    /// # Errors
    /// When the caller brought none, or that of another type.
    pub fn borrow_instance<T: Send + Sync + 'static>(&self) -> Result<Borrowed<T>> {
        self.instance.clone().ok_or_else(missing_instance)?.downcast()
    }

    /// The model of a slot, for a parameter that takes it per call.
    ///
    /// # Errors
    /// When the caller brought no models, or there is no such slot.
    pub fn slot<T: CallSlot>(&self, name: &str) -> Result<T> {
        let instance = self.instance.as_ref().ok_or_else(missing_instance)?;
        Ok(T::from_dir(instance.slots().dir(name)?))
    }
}

impl Function {
    /// The name it is routed by.
    #[must_use]
    pub fn name(&self) -> &FunctionName {
        &self.name
    }

    /// The name as the author wrote it, before it was made a slug.
    #[must_use]
    pub fn spelling(&self) -> &str {
        &self.spelling
    }

    /// Path of the module it was written in.
    #[must_use]
    pub fn module(&self) -> &'static str {
        self.module
    }

    /// Name of the endpoint type; none for a function endpoint.
    #[must_use]
    pub fn type_name(&self) -> Option<&'static str> {
        self.type_name
    }

    /// Name of the Rust function.
    #[must_use]
    pub fn method(&self) -> &'static str {
        self.method
    }

    /// What it is for.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// The models it uses, by slot.
    #[must_use]
    pub fn slots(&self) -> &BTreeMap<String, Binding> {
        &self.slots
    }

    /// The machine it needs.
    #[must_use]
    pub fn resources(&self) -> &Resources {
        &self.resources
    }

    /// Time it has when the request does not say.
    #[must_use]
    pub fn timeout(&self) -> Option<Duration> {
        self.timeout
    }

    /// Whether it streams.
    #[must_use]
    pub fn is_streaming(&self) -> bool {
        self.shape == OutputShape::Incremental
    }

    /// Whether it takes a thread of the worker: it blocks, and does so inside the worker.
    #[must_use]
    pub fn is_blocking(&self) -> bool {
        self.blocking && self.isolation == Isolation::Shared
    }

    /// Where its handler runs.
    #[must_use]
    pub fn isolation(&self) -> Isolation {
        self.isolation
    }

    /// Its input type.
    #[must_use]
    pub fn payload(&self) -> &TypeDecl {
        &self.payload
    }

    /// Its output type, or the type of the items it streams.
    #[must_use]
    pub fn output(&self) -> &TypeDecl {
        &self.output
    }

    /// What a call needs first, if anything: the instance of its type, or the models of its own slots. Functions
    /// of one type share it.
    #[must_use]
    pub fn instance(&self) -> Option<&Arc<InstanceCell>> {
        self.instance.as_ref()
    }

    /// Where its payloads may name files; none when their type has no place for one.
    pub(crate) fn files(&self) -> Option<&FileShapes> {
        self.files.get_or_init(|| FileShapes::of(&(self.payload.schema)())).as_ref()
    }

    /// Whether its payloads may name what it is made from.
    pub(crate) fn has_source(&self) -> bool {
        *self.source.get_or_init(|| job_source::has_place(self.kind, self.payload.schema))
    }

    /// Strictly decodes the payload and returns the work. Quick, and without I/O. `instance` comes from
    /// [`Function::instance`].
    ///
    /// # Errors
    /// When the payload does not decode, or the instance is missing.
    pub fn invoke(&self, context: RequestContext, payload: Bytes, instance: Option<Instance>) -> Result<Invocation> {
        self.start(Call { context, payload, instance, caller: Caller::Wire })
    }

    /// The same for a payload that stood in JSON; streamed items come out as JSON documents.
    ///
    /// # Errors
    /// As [`Function::invoke`].
    pub fn invoke_local(
        &self,
        context: RequestContext,
        payload: &serde_json::Value,
        instance: Option<Instance>,
    ) -> Result<Invocation> {
        self.start(Call { context, payload: codec::from_json(payload), instance, caller: Caller::Local })
    }

    /// Whether a payload that stood in JSON decodes. Runs nothing and needs no instance, so that a wrong payload is
    /// told before any model is touched.
    ///
    /// # Errors
    /// When the payload does not decode.
    pub fn check_local(&self, context: RequestContext, payload: &serde_json::Value) -> Result<()> {
        self.check(Call { context, payload: codec::from_json(payload), instance: None, caller: Caller::Local })
    }

    /// The same for a call that is not to be made yet.
    pub(crate) fn check(&self, call: Call) -> Result<()> {
        // Decoding comes first in every call; whatever lacks afterwards is not the payload's fault.
        match (self.call)(call) {
            Err(error) if error.is_decode() => Err(error),
            _ => Ok(()),
        }
    }

    /// The same for a call in one piece.
    pub(crate) fn start(&self, call: Call) -> Result<Invocation> {
        if self.instance.is_some() && call.instance.is_none() {
            return Err(missing_instance());
        }
        match call.instance.as_ref().and_then(Instance::remote_calls).cloned() {
            Some(remote) => remote.invoke(call, self.shape),
            None => (self.call)(call),
        }
    }
}

fn missing_instance() -> WorkerError {
    WorkerError::fatal("MissingInstance", "the function was called without its instance")
}

impl Function {
    pub(crate) fn label(&self) -> String {
        match self.type_name {
            Some(name) => format!("{}::{name}::{}", self.module, self.method),
            None => format!("{}::{}", self.module, self.method),
        }
    }
}

impl fmt::Debug for Function {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Function")
            .field("name", &self.name)
            .field("module", &self.module)
            .field("type_name", &self.type_name)
            .field("method", &self.method)
            .field("kind", &self.kind)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Invocation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Async(_) => "Async",
            Self::Blocking(_) => "Blocking",
            Self::Stream(_) => "Stream",
        })
    }
}
