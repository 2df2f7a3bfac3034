//! `cargo xtask demo`: the whole system on this machine, with a real model and real requests.
//!
//! It does all set-up itself, starts a pool with both examples, asks it for what the examples offer, prints what came back and how
//! long it took, stops the pool, and checks that no process of it is left.

mod client;
mod embeddings;
mod latency;
mod pool;

use std::time::Instant;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use crate::paths::Paths;
use crate::process::say;
use crate::setup::{self, Need};
use crate::test;
use client::Client;
use pool::Pool;

/// Enough for a 99th percentile of which more than one sample is the tail.
const SAMPLES: usize = 300;

/// Sets up, builds, starts, shows, stops.
pub(crate) fn run(paths: &Paths) -> Result<()> {
    setup::run(paths, Need::Demo)?;
    say("demo: building in release");
    test::build_binaries(paths, "release")?;
    let start = Instant::now();
    let pool = Pool::start(paths)?;
    println!("pool is ready after {:.0} ms: {}", start.elapsed().as_secs_f64() * 1e3, pool.describe());
    let client = Client::new(pool.http());
    similar(&client)?;
    plain(&client)?;
    streaming(&client)?;
    summary(&client)?;
    let stopped = Instant::now();
    let processes = pool.stop()?;
    println!("\npool stopped in {:.0} ms, {processes} processes, none is left", stopped.elapsed().as_secs_f64() * 1e3);
    Ok(())
}

/// Real sentences through the real model, and which of them mean the same.
fn similar(client: &Client) -> Result<()> {
    let texts = embeddings::SENTENCES;
    let start = Instant::now();
    let reply = client.run("embed", &json!({ "texts": texts }))?;
    println!("\nembed: {} sentences in {:.1} ms ({})", texts.len(), start.elapsed().as_secs_f64() * 1e3, reply.timing);
    let vectors = embeddings::vectors(&reply.output, texts.len())?;
    for (similarity, left, right) in embeddings::nearest(&vectors) {
        let text = |index: usize| texts.get(index).copied().unwrap_or_default();
        println!("  {similarity:.3}  {} | {}", text(left), text(right));
    }
    Ok(())
}

fn plain(client: &Client) -> Result<()> {
    let reply = client.run("marco", &json!({ "text": "marco" }))?;
    println!("\nmarco: {} ({})", reply.output, reply.timing);
    Ok(())
}

/// The items of a streaming function as they arrive.
fn streaming(client: &Client) -> Result<()> {
    println!("\nmarco-stream, an item every 100 ms:");
    let start = Instant::now();
    let mut items = 0;
    client.stream("marco-stream", &json!({ "count": 5, "delay_ms": 100 }), |event, data| {
        if event == "chunk" {
            items += 1;
            println!("  {:>6.1} ms  {data}", start.elapsed().as_secs_f64() * 1e3);
        }
    })?;
    println!("  {:>6.1} ms  the end, {items} items", start.elapsed().as_secs_f64() * 1e3);
    ensure!(items == 5, "marco-stream sent {items} items instead of 5");
    Ok(())
}

/// One client, one sentence, one request after the other: what a user waits.
fn summary(client: &Client) -> Result<()> {
    let payload = json!({ "texts": [embeddings::SENTENCES.first().context("there are sentences")?] });
    let mut waited = Vec::with_capacity(SAMPLES);
    let mut ran = Vec::with_capacity(SAMPLES);
    for _ in 0..SAMPLES {
        let start = Instant::now();
        let reply = client.run("embed", &payload)?;
        waited.push(start.elapsed().as_secs_f64() * 1e3);
        ran.extend(reply.timings.get("run_ms").and_then(Value::as_f64));
    }
    println!("\nlatency of {SAMPLES} requests, one sentence each, one after the other, durable:");
    println!("  request to reply  {}", latency::describe(&mut waited));
    println!("  in the handler    {}", latency::describe(&mut ran));
    Ok(())
}
