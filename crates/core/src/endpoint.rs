//! What an author declares, before anything about it is checked.
//!
//! `#[endpoint]` turns one function or one `impl` block into an [`EndpointDecl`]; [`crate::Registry`] checks all of
//! them together and makes [`crate::Function`]s. Declarations are plain owned data, so that a program may also
//! write them by hand.

use std::{fmt, str::FromStr, sync::Arc, time::Duration};

use crate::{
    binding::{Binding, BindingBuilder, BindingError},
    function::{Call, Invocation},
    worker_error::Result,
};

mod isolation;
mod lifecycle;
mod movable;
mod resources;

pub use isolation::Isolation;
pub use lifecycle::{HookFn, InstanceValue, LifecycleDecl, SetupFn, SetupParameter, Work};
pub use movable::{Movable, MovableFn};
pub use resources::{ResourceError, Resources, ResourcesDecl};

/// What a function is for; decides the context it gets and whether it may stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// Answers a request.
    #[default]
    Inference,
    /// Turns a checkpoint into another.
    Conversion,
    /// Makes a checkpoint from data.
    Training,
    /// Makes a dataset.
    Dataset,
}

/// One `#[endpoint]`.
pub struct EndpointDecl {
    /// Path of the module it was written in.
    pub module: &'static str,
    /// Name of the type, or none for a function.
    pub type_name: Option<&'static str>,
    /// What its functions are for.
    pub kind: Kind,
    /// The models it uses.
    pub slots: SlotsDecl,
    /// The machine it needs.
    pub resources: ResourcesDecl,
    /// Time a handler has when the request does not say.
    pub timeout: Option<Duration>,
    /// Where its handlers run.
    pub isolation: Isolation,
    /// How an instance of the type comes and goes; none for a function.
    pub lifecycle: Option<LifecycleDecl>,
    /// How an instance moves between devices; none = it stays where it was made.
    pub movable: Option<MovableFn>,
    /// The routable functions.
    pub handlers: Vec<HandlerDecl>,
}

/// The models of an endpoint, in one of the two ways to write them.
#[derive(Default)]
pub struct SlotsDecl {
    /// `model = ..`: one binding that takes the name of the only slot parameter.
    pub shorthand: Option<Result<Binding, BindingError>>,
    /// `slots(name = .., ..)`.
    pub named: Vec<(&'static str, Result<Binding, BindingError>)>,
}

/// One routable function of an endpoint.
pub struct HandlerDecl {
    /// Name of the Rust function.
    pub method: &'static str,
    /// Name it is routed by instead of `method`; on function endpoints only.
    pub name: Option<&'static str>,
    /// Its input type.
    pub payload: TypeDecl,
    /// Its output type, or the type of the items it streams.
    pub output: TypeDecl,
    /// Whether it returns one value or a stream.
    pub shape: OutputShape,
    /// Whether it has to run off the event loop.
    pub blocking: bool,
    /// Names of the parameters after context and payload: slots it gets per call.
    pub slots: Vec<&'static str>,
    /// Runs it.
    pub call: CallFn,
}

/// Whether a handler returns one value or a stream of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum OutputShape {
    /// One value.
    Single,
    /// Items, then an end.
    Incremental,
}

/// A payload or output type, as far as listings need it.
#[derive(Clone, Copy)]
pub struct TypeDecl {
    /// Path of the type, as the compiler prints it.
    pub path: &'static str,
    /// JSON Schema of the type.
    pub schema: fn() -> serde_json::Value,
}

/// Decodes a payload strictly and returns the work of one call; quick, and without I/O.
pub type CallFn = Arc<dyn Fn(Call) -> Result<Invocation> + Send + Sync>;

/// An endpoint that is linked into the program. `#[endpoint]` submits one; nobody else needs to.
pub struct Linked(
    /// Makes the declaration.
    pub fn() -> EndpointDecl,
);

inventory::collect!(Linked);

/// Every endpoint linked into the program, in no particular order.
#[must_use]
pub fn linked_endpoints() -> Vec<EndpointDecl> {
    inventory::iter::<Linked>.into_iter().map(|linked| (linked.0)()).collect()
}

/// A name that is no kind of endpoint.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown kind {0:?}: one of inference, conversion, training, dataset")]
pub struct UnknownKind(String);

impl Kind {
    /// Name in manifests and attributes.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Inference => "inference",
            Self::Conversion => "conversion",
            Self::Training => "training",
            Self::Dataset => "dataset",
        }
    }

    /// Whether functions of this kind write files and publish them, rather than answer.
    #[must_use]
    pub fn is_producer(self) -> bool {
        self != Self::Inference
    }
}

impl FromStr for Kind {
    type Err = UnknownKind;

    fn from_str(name: &str) -> std::result::Result<Self, UnknownKind> {
        [Self::Inference, Self::Conversion, Self::Training, Self::Dataset]
            .into_iter()
            .find(|kind| kind.as_str() == name)
            .ok_or_else(|| UnknownKind(name.chars().take(64).collect()))
    }
}

impl EndpointDecl {
    /// A function endpoint with one handler and nothing else declared.
    #[must_use]
    pub fn function(module: &'static str, handler: HandlerDecl) -> Self {
        Self {
            module,
            type_name: None,
            kind: Kind::default(),
            slots: SlotsDecl::default(),
            resources: ResourcesDecl::default(),
            timeout: None,
            isolation: Isolation::default(),
            lifecycle: None,
            movable: None,
            handlers: vec![handler],
        }
    }

    /// A type endpoint, still without handlers.
    #[must_use]
    pub fn of_type(module: &'static str, type_name: &'static str, lifecycle: LifecycleDecl) -> Self {
        Self {
            module,
            type_name: Some(type_name),
            kind: Kind::default(),
            slots: SlotsDecl::default(),
            resources: ResourcesDecl::default(),
            timeout: None,
            isolation: Isolation::default(),
            lifecycle: Some(lifecycle),
            movable: None,
            handlers: Vec::new(),
        }
    }

    /// How diagnostics name this endpoint: the type, or the function.
    #[must_use]
    pub fn label(&self) -> String {
        let name = self.type_name.or_else(|| self.handlers.first().map(|handler| handler.method)).unwrap_or("?");
        format!("{}::{name}", self.module)
    }
}

impl SlotsDecl {
    /// `model = binding`.
    #[must_use]
    pub fn model(mut self, binding: impl IntoBinding) -> Self {
        self.shorthand = Some(binding.into_binding());
        self
    }

    /// One `name = binding` of `slots(..)`.
    #[must_use]
    pub fn slot(mut self, name: &'static str, binding: impl IntoBinding) -> Self {
        self.named.push((name, binding.into_binding()));
        self
    }
}

/// What may stand right of the `=` of a slot.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a model binding",
    note = "write `hub(\"owner/repo\")`, `hf(\"owner/repo\")`, `civitai(id)` or `modelscope(\"owner/repo\")`"
)]
pub trait IntoBinding {
    /// Checks it.
    ///
    /// # Errors
    /// See [`BindingError`].
    fn into_binding(self) -> Result<Binding, BindingError>;
}

impl IntoBinding for BindingBuilder {
    fn into_binding(self) -> Result<Binding, BindingError> {
        self.build()
    }
}

impl IntoBinding for Binding {
    fn into_binding(self) -> Result<Binding, BindingError> {
        Ok(self)
    }
}

impl TypeDecl {
    /// Name of the type without its module.
    #[must_use]
    pub fn name(&self) -> &'static str {
        let plain = self.path.split('<').next().unwrap_or(self.path);
        plain.rsplit("::").next().unwrap_or(plain)
    }
}

impl fmt::Debug for TypeDecl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("TypeDecl").field(&self.path).finish()
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
