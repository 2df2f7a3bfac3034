//! C30: outputs that are too large for the wire go through the hub of the pool.

use anyhow::{Context, Result};
use gen_worker_proto::pb::{JobStatus, job_result::Output};
use gen_worker_tests::{Peer, Pool, PoolOptions};
use serde_json::{Value, json};

use super::{Scene, field, wire};

/// Largest output that travels inline (wire contract, 9.1).
const INLINE_MAX: usize = 65_536;

/// What `echo` puts around its text: a map, its key, and the head of a text of this length.
const AROUND: usize = 1 + 9 + 3;

/// What `echo` says to these words, as it is stored.
fn packed(text: &str) -> Result<Vec<u8>> {
    Ok(rmp_serde::to_vec(&std::collections::BTreeMap::from([("response", text)]))?)
}

/// Runs `echo` and gives its output as its object says where it is.
fn fetched(scene: &Scene, text: &str) -> Result<Vec<u8>> {
    let (status, body) = scene.run("echo", &json!({"text": text}))?;
    assert_eq!((status, field(&body, "/state")), (200, &json!("succeeded")), "{body}");
    assert_eq!(field(&body, "/output"), &Value::Null);
    let url = field(&body, "/output_url").as_str().context("an address")?;
    let (status, bytes) = scene.api().get_bytes(url)?;
    assert_eq!(status, 200, "{url}");
    Ok(bytes)
}

fn c30_a_large_output_is_uploaded_and_can_be_fetched(peer: Peer) -> Result<()> {
    let (scene, relay) = Scene::relayed(peer)?;
    let text = "x".repeat(INLINE_MAX + 1 - AROUND);
    assert_eq!(packed(&text)?.len(), INLINE_MAX + 1);
    assert_eq!(fetched(&scene, &text)?, packed(&text)?);
    let result = relay.wait("the result", |entries| {
        entries.iter().filter_map(gen_worker_tests::Entry::worker).find_map(|said| match said {
            gen_worker_proto::pb::worker_message::Msg::JobResult(result) => Some(result.clone()),
            _ => None,
        })
    })?;
    let Some(Output::BlobRef(reference)) = &result.output else { anyhow::bail!("a ref: {result:?}") };
    assert_eq!(reference, &format!("results/{}.msgpack", result.request_id), "9.9");
    let sent = wire::sent(&relay, &result.request_id, 1)?;
    assert!(sent.capability_token.split('.').count() == 3 && !sent.tenant.is_empty(), "O25, 9.7");
    let whole = "x".repeat(3 * 1024 * 1024);
    assert_eq!(fetched(&scene, &whole)?.len(), packed(&whole)?.len(), "through several pieces");
    scene.serves()
}

fn c30_the_largest_inline_output_stays_inline(peer: Peer) -> Result<()> {
    let (scene, relay) = Scene::relayed(peer)?;
    let text = "x".repeat(INLINE_MAX - AROUND);
    let body = json!({"function": "echo", "payload": {"text": text}});
    assert_eq!(scene.api().put("/v1/requests/a", &body)?.status, 202);
    let result = wire::result(&relay, "a")?;
    assert_eq!(result.status(), JobStatus::Ok);
    let Some(Output::Inline(output)) = &result.output else { anyhow::bail!("inline: {result:?}") };
    assert_eq!(output.len(), INLINE_MAX);
    scene.serves()
}

fn h9_9_outputs_survive_a_restart_of_the_pool(peer: Peer) -> Result<()> {
    let dir = tempfile::tempdir()?;
    let options = PoolOptions { db: Some(dir.path().join("queue.sqlite")), ..PoolOptions::default() };
    let pool = Pool::start(&options)?;
    let worker = peer.start("w1", pool.wire()?)?;
    pool.worker("w1")?;
    let scene = Scene { pool, worker };
    let text = "y".repeat(INLINE_MAX);
    let body = json!({"function": "echo", "payload": {"text": text}});
    assert_eq!(scene.api().put("/v1/requests/a", &body)?.status, 202);
    assert_eq!(field(&scene.api().ended("a")?, "/state"), "succeeded");
    drop(scene);
    let pool = Pool::start(&options)?;
    let object = pool.api.get("/v1/requests/a")?;
    let url = field(&object.body, "/output_url").as_str().context("an address")?;
    assert_eq!(pool.api.get_bytes(url)?, (200, packed(&text)?), "the hub was killed and has it all");
    Ok(())
}

with_every_peer!(
    c30_the_largest_inline_output_stays_inline,
    c30_a_large_output_is_uploaded_and_can_be_fetched,
    h9_9_outputs_survive_a_restart_of_the_pool
);
