//! The orchestrator of gen-worker: durable queue, scheduler, worker sessions, HTTP API.
