//! `#[endpoint]` and the derives for payloads and outputs.
//!
//! The macros only translate: an attribute becomes a declaration, a derive becomes what serde and schemars would be
//! told by hand. What they cannot decide from syntax is left to the compiler, through traits with messages of their
//! own, and to the registry, which reports everything at once.
//!
//! Generated code names things through `::gen_worker::__private`, so an endpoint needs no other dependency.

mod derive;
mod endpoint;
mod placed;

use proc_macro::TokenStream;

/// Declares a routable function, or a type whose handlers are routable functions.
///
/// On a function: the first argument is the context (`&RequestContext` or `RequestContext`), the second the payload,
/// further ones take model slots by name (`ModelDir`). `fn` runs off the event loop, `async fn` on it, and a
/// function that returns `impl Stream<Item = Result<T>> + Send` streams.
///
/// On an `impl` block: `#[handler]` marks the routable methods (`&self`, then as above); `#[setup]` makes the
/// instance from model slots, `#[warmup]` runs once after it, `#[shutdown]` once at the end. Without `#[setup]`
/// the instance comes from `Default`.
///
/// | Argument | Meaning |
/// |---|---|
/// | `name = "text"` | routed by this name instead of the function's; functions only |
/// | `kind = "inference"` | or `conversion`, `training`, `dataset` |
/// | `model = hf("o/r")` | the only model slot, named by the parameter that takes it |
/// | `slots(a = hf("o/r"), b = hub("o/s"))` | named model slots |
/// | `resources(gpu, vram_gb = 24.0, compute_capability = 8.9, libraries("x"), max_concurrency = 2, offload)` | needs; with `offload`, models can be loaded with parts of them elsewhere (not in a process of their own) |
/// | `timeout = "30s"` | time a call has when the request does not say; also `ms`, `m`, `h`, or a `Duration` |
/// | `isolation = "process"` | a worker runs the handlers, and the instance of a type, in processes of their own: see below |
/// | `movable` | the type implements `Movable`: a worker moves idle instances to host memory instead of tearing them down; types only |
///
/// With `isolation = "process"` a crash of a handler (abort, stack overflow, out of memory) fails its own call only,
/// and a handler that ignores its cancel or its deadline is killed together with its process after a grace. As many
/// processes as `max_concurrency`, one unless it is set; each has its own instance, and shares no memory with others.
#[proc_macro_attribute]
pub fn endpoint(arguments: TokenStream, item: TokenStream) -> TokenStream {
    endpoint::expand(arguments.into(), item.into()).unwrap_or_else(|error| error.into_compile_error()).into()
}

/// Makes a type usable as input of a handler, as part of one, and as output too.
///
/// A struct with named fields becomes a `Payload` and an `Output`; other structs and enums can be fields of one.
/// `#[field(..)]` on a field says what is allowed: `min`, `max`, `exclusive_min`, `exclusive_max`, `multiple_of` for
/// numbers, `min_len`, `max_len` for text, bytes, lists and maps, `pattern` for text, and `default` for a field that
/// may be left out. Attributes of serde work as usual. `Vec<u8>` is bytes.
#[proc_macro_derive(Payload, attributes(field, serde, schemars))]
pub fn payload(item: TokenStream) -> TokenStream {
    derive::payload(item.into()).unwrap_or_else(|error| error.into_compile_error()).into()
}

/// Makes a type usable as output of a handler, as an item of a stream, and as part of one.
///
/// Attributes of serde work as usual; an enum of several shapes wants `#[serde(tag = "type")]`. `Vec<u8>` is bytes.
/// A type that is also an input derives `Payload` instead, which includes this.
#[proc_macro_derive(Output, attributes(serde, schemars))]
pub fn output(item: TokenStream) -> TokenStream {
    derive::output(item.into()).unwrap_or_else(|error| error.into_compile_error()).into()
}
