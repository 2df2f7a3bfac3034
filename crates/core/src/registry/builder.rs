//! A registry put together by hand.

use std::{future::Future, sync::Arc};

use futures::{FutureExt, Stream};

use super::Registry;
use crate::{
    codec,
    context::RequestContext,
    decl_error::DeclErrors,
    endpoint::{CallFn, EndpointDecl, HandlerDecl, Isolation, OutputShape, linked_endpoints},
    function::{Call, Invocation},
    io_type::{Output, Payload},
    stream_item::{StreamItem, frames},
    worker_error::Result,
};

/// Collects endpoints; nothing is checked before [`RegistryBuilder::build`].
#[derive(Default)]
#[must_use = "a builder does nothing until it is built"]
pub struct RegistryBuilder(Vec<EndpointDecl>);

impl RegistryBuilder {
    /// Adds one endpoint.
    pub fn endpoint(mut self, decl: EndpointDecl) -> Self {
        self.0.push(decl);
        self
    }

    /// Says where the handlers of the endpoint added last run.
    pub fn isolation(mut self, isolation: Isolation) -> Self {
        if let Some(last) = self.0.last_mut() {
            last.isolation = isolation;
        }
        self
    }

    /// Adds every endpoint linked into the program.
    pub fn linked(mut self) -> Self {
        self.0.extend(linked_endpoints());
        self
    }

    /// Adds a function that blocks or computes; it runs off the event loop.
    pub fn blocking<P, O, F>(self, name: &'static str, handler: F) -> Self
    where
        P: Payload,
        O: Output,
        F: Fn(RequestContext, P) -> Result<O> + Send + Sync + 'static,
    {
        let handler = Arc::new(handler);
        let call: CallFn = Arc::new(move |call: Call| {
            let (handler, payload) = (handler.clone(), call.decode::<P>()?);
            Ok(Invocation::Blocking(Box::new(move || codec::encode(&handler(call.context, payload)?))))
        });
        self.function::<P, O>(name, OutputShape::Single, true, call)
    }

    /// Adds a function that is polled on the event loop.
    pub fn asynchronous<P, O, F, R>(self, name: &'static str, handler: F) -> Self
    where
        P: Payload,
        O: Output,
        F: Fn(RequestContext, P) -> R + Send + Sync + 'static,
        R: Future<Output = Result<O>> + Send + 'static,
    {
        let call: CallFn = Arc::new(move |call: Call| {
            let payload = call.decode::<P>()?;
            let work = handler(call.context, payload);
            Ok(Invocation::Async(work.map(|outcome| codec::encode(&outcome?)).boxed()))
        });
        self.function::<P, O>(name, OutputShape::Single, false, call)
    }

    /// Adds a function that streams.
    pub fn streaming<P, O, F, S>(self, name: &'static str, handler: F) -> Self
    where
        P: Payload,
        O: StreamItem,
        F: Fn(RequestContext, P) -> S + Send + Sync + 'static,
        S: Stream<Item = Result<O>> + Send + 'static,
    {
        let call: CallFn = Arc::new(move |call: Call| {
            let payload = call.decode::<P>()?;
            let items = handler(call.context.clone(), payload);
            Ok(Invocation::Stream(Box::pin(frames(items, call.context, call.caller))))
        });
        self.function::<P, O>(name, OutputShape::Incremental, false, call)
    }

    /// Checks everything.
    ///
    /// # Errors
    /// Everything that is wrong with any endpoint.
    pub fn build(self) -> Result<Registry, DeclErrors> {
        Registry::from_decls(self.0)
    }

    fn function<P: Payload, O: Output>(
        self,
        name: &'static str,
        shape: OutputShape,
        blocking: bool,
        call: CallFn,
    ) -> Self {
        let (payload, output) = (P::type_decl(), O::type_decl());
        let handler =
            HandlerDecl { method: name, name: None, payload, output, shape, blocking, slots: Vec::new(), call };
        self.endpoint(EndpointDecl::function("built_by_hand", handler))
    }
}
