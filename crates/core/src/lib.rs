//! The worker side of gen-worker.
//!
//! An author declares endpoints ([`endpoint`]); [`Registry`] checks all of them at once and makes [`Function`]s.
//! A [`Function`] strictly decodes a payload ([`codec`]) and returns an [`Invocation`]: work that has not started.
//! Whoever holds it decides where it runs and what becomes of its result. Instances of endpoint types live in an
//! [`InstanceCell`] each and get their models from a [`ModelSource`].
//!
//! What is not here: HTTP routes, scheduling policy, model families, tensor math, the environment.

pub mod binding;
pub mod codec;
pub mod context;
pub mod decl_error;
pub mod endpoint;
pub mod function;
pub mod instance;
pub mod io_type;
pub mod model_source;
pub mod registry;
pub mod schema;
pub mod stream_item;
pub mod worker_error;

pub use binding::Binding;
pub use context::{CancelFlag, ContextParts, EventSink, RequestContext, RequestEvent};
pub use decl_error::{DeclCode, DeclError, DeclErrors};
pub use function::{Frame, Function, Invocation};
pub use instance::{Instance, InstanceCell};
pub use model_source::{LocalModels, ModelError, ModelResidency, ModelSource, Tier};
pub use registry::{Registry, RegistryBuilder};
pub use worker_error::{Classify, FailureClass, Result, WorkerError};
