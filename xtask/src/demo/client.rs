//! The HTTP API as a client without our crates sees it.

use std::io::{BufRead as _, BufReader};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::Value;
use ureq::http::Response;
use ureq::{Agent, Body};

/// Above the pool's own limit on waiting, so that its answer comes first.
const REPLY_MAX: Duration = Duration::from_secs(90);

/// A client of one pool. It keeps its connection.
pub(super) struct Client {
    agent: Agent,
    base: String,
}

/// What a call came to.
#[derive(Debug)]
pub(super) struct Reply {
    /// What the function returned.
    pub(super) output: Value,
    /// The `timings` of the request, by name, in milliseconds.
    pub(super) timings: Value,
    /// The same for people, without the zeros.
    pub(super) timing: String,
}

impl Client {
    pub(super) fn new(base: &str) -> Self {
        // Error replies have bodies that say more than their status.
        let config = Agent::config_builder().http_status_as_error(false).timeout_global(Some(REPLY_MAX)).build();
        Self { agent: config.into(), base: base.to_owned() }
    }

    /// Calls `function` and waits for its result.
    pub(super) fn run(&self, function: &str, payload: &Value) -> Result<Reply> {
        let mut response = self.post(function, payload, "application/json")?;
        let text = response.body_mut().with_config().limit(64 << 20).read_to_string().context("read the reply")?;
        let mut request: Value = serde_json::from_str(&text).with_context(|| format!("{function} answered {text}"))?;
        let timings = request.get_mut("timings").map(Value::take).unwrap_or_default();
        let output = request.get_mut("output").map(Value::take);
        let output = output.with_context(|| format!("{function} answered without an output: {text}"))?;
        let timing = describe(&timings);
        Ok(Reply { output, timings, timing })
    }

    /// Calls `function` and hands on each event as it arrives, up to and with the terminal one.
    pub(super) fn stream(&self, function: &str, payload: &Value, mut each: impl FnMut(&str, &str)) -> Result<()> {
        let response = self.post(function, payload, "text/event-stream")?;
        let mut event = String::new();
        for line in BufReader::new(response.into_body().into_reader()).lines() {
            let line = line.context("read the events")?;
            if let Some(name) = line.strip_prefix("event:") {
                event = name.trim().to_owned();
            } else if let Some(data) = line.strip_prefix("data:") {
                each(&event, data.trim());
                match event.as_str() {
                    "result" => return Ok(()),
                    "error" => bail!("{function} failed: {data}"),
                    _ => {}
                }
            }
        }
        bail!("the events of {function} ended without a result")
    }

    fn post(&self, function: &str, payload: &Value, accept: &str) -> Result<Response<Body>> {
        let url = format!("{}/v1/run/{function}", self.base);
        let request = self.agent.post(&url).header("content-type", "application/json").header("accept", accept);
        // Vectors of many sentences are larger than what comes inline by default.
        let request = request.header("prefer", "bytes=inline");
        let mut response = request.send(payload.to_string()).with_context(|| format!("POST {url}"))?;
        if response.status() != 200 {
            let body = response.body_mut().read_to_string().unwrap_or_default();
            bail!("POST {url} answered {}: {body}", response.status());
        }
        Ok(response)
    }
}

/// `queue 0.2 ms, run 5.1 ms, total 5.9 ms`
fn describe(timings: &Value) -> String {
    let parts = timings.as_object().into_iter().flatten();
    let parts = parts.filter_map(|(name, value)| Some((name.strip_suffix("_ms")?, value.as_f64()?)));
    let parts = parts.filter(|(_, ms)| *ms >= 0.05).map(|(name, ms)| format!("{} {ms:.1} ms", name.replace('_', " ")));
    parts.collect::<Vec<_>>().join(", ")
}
