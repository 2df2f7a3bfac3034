//! Calls endpoints the way a worker does, without a wire.

use std::{collections::HashMap, sync::Arc};

use bytes::Bytes;
use futures::StreamExt;
use gen_worker::{Registry, Result};
use gen_worker_core::{
    ContextParts, Frame, Function, Invocation, LocalModels, ModelSource, RequestContext, codec, context::CancelFlag,
};
use gen_worker_proto::Pair;
use serde_json::Value;

/// Every endpoint of this binary.
pub fn registry() -> Registry {
    Registry::collect().expect("endpoints without errors")
}

pub fn function(name: &str) -> Arc<Function> {
    registry().get(name).unwrap_or_else(|| panic!("a function called {name}")).clone()
}

pub fn context(function: &Function, cancel: &CancelFlag) -> RequestContext {
    let pair = Pair::parse("r1", 1).expect("a pair");
    RequestContext::new(ContextParts { cancel: cancel.clone(), ..ContextParts::new(pair, function.name().clone()) })
}

/// Starts a call with an encoded payload.
pub async fn start(function: &Function, payload: Bytes, models: LocalModels) -> Result<Invocation> {
    let models: Arc<dyn ModelSource> = Arc::new(models);
    let instance = match function.instance() {
        Some(cell) => Some(cell.get(&models, &HashMap::new()).await?),
        None => None,
    };
    function.invoke(context(function, &CancelFlag::new()), payload, instance)
}

/// The output of a function that does not stream.
pub async fn call(function: &Function, payload: Value, models: LocalModels) -> Result<Value> {
    let output = match start(function, codec::from_json(&payload), models).await? {
        Invocation::Async(work) => work.await?,
        Invocation::Blocking(work) => work()?,
        Invocation::Stream(_) => panic!("{function:?} streams"),
    };
    codec::to_json(&output)
}

/// The same by name, without models.
pub async fn ask(name: &str, payload: Value) -> Result<Value> {
    call(&function(name), payload, LocalModels::new()).await
}

/// The chunks of a stream, and its summary.
pub async fn chunks(name: &str, payload: Value) -> Result<(Vec<String>, Option<Value>)> {
    let Invocation::Stream(mut frames) = start(&function(name), codec::from_json(&payload), LocalModels::new()).await?
    else {
        panic!("{name} does not stream")
    };
    let mut chunks = Vec::new();
    while let Some(frame) = frames.next().await {
        match frame? {
            Frame::Chunk { data, .. } => chunks.push(String::from_utf8(data.to_vec()).expect("text")),
            Frame::End(summary) => {
                assert!(frames.next().await.is_none(), "something follows the end");
                return Ok((chunks, summary.map(|bytes| codec::to_json(&bytes)).transpose()?));
            }
        }
    }
    panic!("a stream without an end")
}
