//! A client of the orchestrator's HTTP API that adds nothing of its own.

use std::{
    io::{BufRead, BufReader, Read},
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use ureq::{Agent, Body, http::Response};

/// A client of one orchestrator.
#[derive(Clone, Debug)]
pub struct Api {
    base: String,
    agent: Agent,
}

/// A reply.
#[derive(Debug)]
pub struct Answer {
    /// Its status.
    pub status: u16,
    /// Its body, `null` when it is not JSON.
    pub body: Value,
}

/// One event of a stream.
#[derive(Clone, Debug, PartialEq)]
pub struct SseEvent {
    /// Its kind.
    pub kind: String,
    /// Its id; empty when it has none.
    pub id: String,
    /// Its data.
    pub data: Value,
}

/// Largest body that is read.
const BODY_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// Longer than any wait that the tests ask the server for.
const TIMEOUT: Duration = Duration::from_secs(90);

impl Api {
    /// A client for the base URL.
    #[must_use]
    pub fn new(base: &str) -> Self {
        let config = Agent::config_builder().http_status_as_error(false).timeout_global(Some(TIMEOUT)).build();
        Self { base: base.to_owned(), agent: config.into() }
    }

    /// GET.
    ///
    /// # Errors
    /// When there is no reply.
    pub fn get(&self, path: &str) -> Result<Answer> {
        answer(self.agent.get(self.url(path)).call())
    }

    /// GET of any body; a redirect is followed.
    ///
    /// # Errors
    /// When there is no reply.
    pub fn get_bytes(&self, path: &str) -> Result<(u16, Vec<u8>)> {
        let mut reply = self.agent.get(self.url(path)).call().context("no reply")?;
        let bytes = reply.body_mut().with_config().limit(BODY_BYTES_MAX).read_to_vec().context("read the reply")?;
        Ok((reply.status().as_u16(), bytes))
    }

    /// POST of a JSON body.
    ///
    /// # Errors
    /// When there is no reply.
    pub fn post(&self, path: &str, body: &Value) -> Result<Answer> {
        answer(self.agent.post(self.url(path)).send_json(body))
    }

    /// POST of any body.
    ///
    /// # Errors
    /// When there is no reply.
    pub fn post_bytes(&self, path: &str, content_type: &str, body: &[u8]) -> Result<Answer> {
        answer(self.agent.post(self.url(path)).content_type(content_type).send(body))
    }

    /// PUT of a JSON body.
    ///
    /// # Errors
    /// When there is no reply.
    pub fn put(&self, path: &str, body: &Value) -> Result<Answer> {
        answer(self.agent.put(self.url(path)).send_json(body))
    }

    /// A request once it has ended.
    ///
    /// # Errors
    /// When there is no reply, or no end within the server's longest wait.
    pub fn ended(&self, id: &str) -> Result<Value> {
        let Answer { status, body } = self.get(&format!("/v1/requests/{id}?wait_ms=60000"))?;
        ensure!(status == 200, "{id}: status {status}: {body}");
        let state = body.get("state").and_then(Value::as_str).unwrap_or_default();
        ensure!(["succeeded", "failed", "canceled"].contains(&state), "{id} has not ended: {body}");
        Ok(body)
    }

    /// All events of a request, to the end of its stream.
    ///
    /// # Errors
    /// When there is no stream.
    pub fn events(&self, id: &str) -> Result<Vec<SseEvent>> {
        let reply =
            self.agent.get(self.url(&format!("/v1/requests/{id}/events"))).header("accept", "text/event-stream");
        let reply = reply.call().context("read events")?;
        ensure!(reply.status() == 200, "events of {id}: status {}", reply.status());
        parse(reply.into_body().into_reader())
    }

    fn url(&self, path: &str) -> String {
        format!("{}{path}", self.base)
    }
}

fn answer(reply: Result<Response<Body>, ureq::Error>) -> Result<Answer> {
    let mut reply = reply.context("no reply")?;
    let status = reply.status().as_u16();
    let bytes = reply.body_mut().with_config().limit(BODY_BYTES_MAX).read_to_vec().context("read the reply")?;
    Ok(Answer { status, body: serde_json::from_slice(&bytes).unwrap_or_default() })
}

fn parse(stream: impl Read) -> Result<Vec<SseEvent>> {
    let mut events = Vec::new();
    let (mut kind, mut id, mut data) = (String::new(), String::new(), String::new());
    for line in BufReader::new(stream).lines() {
        let line = line.context("read events")?;
        if let Some(value) = line.strip_prefix("event:") {
            value.trim().clone_into(&mut kind);
        } else if let Some(value) = line.strip_prefix("id:") {
            value.trim().clone_into(&mut id);
        } else if let Some(value) = line.strip_prefix("data:") {
            data.push_str(value.trim());
        } else if line.is_empty() && !data.is_empty() {
            let data = std::mem::take(&mut data);
            let data = serde_json::from_str(&data).with_context(|| format!("event data {data:?}"))?;
            events.push(SseEvent { kind: std::mem::take(&mut kind), id: std::mem::take(&mut id), data });
        }
    }
    Ok(events)
}
