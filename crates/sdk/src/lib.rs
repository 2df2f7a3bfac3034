//! Write AI endpoints in Rust.
//!
//! ```standalone_crate
//! use gen_worker::prelude::*;
//!
//! #[derive(Payload)]
//! struct Name {
//!     #[field(min_len = 1)]
//!     who: String,
//!     #[field(min = 1, max = 9, default = 1)]
//!     times: usize,
//! }
//!
//! #[derive(Output)]
//! struct Greeting {
//!     text: String,
//! }
//!
//! #[endpoint]
//! async fn greet(_ctx: &RequestContext, name: Name) -> Result<Greeting> {
//!     Ok(Greeting { text: vec![format!("hi {}", name.who); name.times].join(", ") })
//! }
//! # let registry = gen_worker::Registry::collect().unwrap();
//! # assert_eq!(registry.functions().len(), 1);
//! ```
//!
//! A function endpoint is a `fn` (it may block, and runs off the event loop), an `async fn`, or a `fn` that returns a
//! stream. A type endpoint keeps a model between calls: see [`endpoint`]. Errors say what they mean for the request:
//! see [`WorkerError`] and [`Classify`]. This crate holds no logic; it gathers what an author needs.

pub use gen_worker_core::{
    Asset, Binding, Classify, FailureClass, Media, Registry, RequestContext, Result, WorkerError,
    binding::{Dtype, civitai, hf, hub, modelscope},
    context::{Device, Level, Rng},
    endpoint::Movable,
    instance::{LoadModel, LoadOptions, ModelDir, Slots},
    io_type::{Output, Payload},
    model_cache::ModelCache,
    shared_components::{ComponentKey, SharedComponent},
    stream_item::{BatchItemDelta, Done, Error, StreamEvent, StreamItem, TokenDelta, TokenUsage},
};
pub use gen_worker_macros::{Output, Payload, endpoint};

pub use async_stream::{stream, try_stream};
pub use futures::{Stream, StreamExt, TryStreamExt};

#[cfg(feature = "inference")]
pub use gen_worker_inference as inference;

/// Everything most endpoints need.
pub mod prelude {
    pub use crate::{
        Asset, BatchItemDelta, Classify, Dtype, Level, LoadModel, LoadOptions, ModelDir, Output, Payload,
        RequestContext, Result, Slots, Stream, StreamEvent, StreamExt, TokenDelta, TokenUsage, TryStreamExt,
        WorkerError, civitai, endpoint, hf, hub, modelscope, stream, try_stream,
    };
    pub use gen_worker_core::binding::Dtype::{Bf16, Fp16, Fp32};
}

#[doc(hidden)]
pub use gen_worker_core::macro_support as __private;

#[cfg(doctest)]
mod refused;

#[cfg(doctest)]
#[doc = include_str!("../../../README.md")]
struct Readme;
