//! The worker side of gen-worker.
//!
//! An author declares endpoints ([`endpoint`]); [`Registry`] checks all of them at once and makes [`Function`]s.
//! A [`Function`] strictly decodes a payload ([`codec`]) and returns an [`Invocation`]: work that has not started.
//! Whoever holds it decides where it runs and what becomes of its result. Instances of endpoint types live in an
//! [`InstanceCell`] each and get their models from a [`ModelSource`].
//!
//! What is not here: HTTP routes, scheduling policy, model families, tensor math, the environment.

mod adapters;
pub mod address;
mod availability;
pub mod backoff;
mod bytes_on_disk;
pub mod codec;
pub mod context;
pub mod decl_error;
mod drain;
pub mod endpoint;
mod executor;
pub mod function;
#[cfg(feature = "fuzzing")]
pub mod fuzzing;
mod gate;
pub mod gpu;
mod hash;
mod hub_uploader;
mod inputs;
pub mod instance;
pub mod io_type;
mod job;
mod job_source;
pub mod ledger;
mod link;
mod load_plan;
mod loader;
pub mod lora_overlays;
#[doc(hidden)]
pub mod macro_support;
pub mod memory;
pub mod memory_ladder;
pub mod model_cache;
mod model_fetch;
pub mod model_source;
mod outbox;
mod peaks;
pub mod registry;
pub mod residency;
pub mod sanitize;
pub mod saves;
pub mod schema;
pub mod scratch;
pub mod shared_components;
pub mod slot;
mod spool;
pub mod stats;
mod store_models;
pub mod stream_item;
mod token_check;
mod worker;
pub mod worker_error;
mod worker_options;

pub use address::{Address, AddressError};
pub use backoff::BackoffOptions;
pub use context::{CancelFlag, ContextParts, EventSink, RequestContext, RequestEvent};
pub use decl_error::{DeclCode, DeclError, DeclErrors};
pub use executor::{NotRenewed, OutputUpload, OutputUploader, Renewal, TokenRenewer, UploadError};
pub use function::{Frame, Function, Invocation};
pub use gen_worker_hub::binding::{self, Binding};
pub use gen_worker_store::UploadFailure;
pub use hub_uploader::HubUploader;
pub use inputs::{Inputs, InputsOptions};
pub use instance::{Instance, InstanceCell};
pub use job::JobLimits;
pub use ledger::{ColdStart, JobObserver, JobRecord, Phase, PhaseKind};
pub use link::{Dial, DialedIo, FatalRefusal, RedialOptions, TcpDial};
pub use load_plan::LoadPolicy;
pub use model_fetch::{fetch as fetch_model, with_tries};
pub use model_source::{
    FetchProgress, FetchedModel, LocalModels, ModelError, ModelResidency, ModelSource, NoProgress, Overridden,
    TellEvicted, Tier,
};
pub use registry::{Registry, RegistryBuilder};
pub use saves::{Asset, BucketDestination, FileSaver, LocalFiles, Media, OutputDestination};
pub use slot::{SlotLauncher, SlotOptions};
pub use spool::{SpoolOptions, SpoolPolicy};
pub use stats::WorkerStats;
pub use store_models::{StoreModels, StoreModelsOptions, Upstream};
pub use token_check::{TokenCheck, TokenRefused};
pub use worker::{Ended, Worker, WorkerExit};
pub use worker_error::{Classify, FailureClass, Result, WorkerError};
pub use worker_options::WorkerOptions;
