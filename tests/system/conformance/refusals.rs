//! C21, C23, C24 and C25: streams that end or do not begin, and the credential of the next.

use std::time::Duration;

use anyhow::Result;
use gen_worker_proto::pb::{TokenRefresh, scheduler_message::Msg as Outbound};
use gen_worker_tests::{Entry, Event, Peer, Relay, eventually};
use tonic::Status;

use super::{Scene, wire};

/// A busy machine is granted so much beyond the second of the contract.
const FIRST_REDIAL_MAX: Duration = Duration::from_secs(10);

fn streams(entries: &[Entry]) -> Vec<&Option<String>> {
    entries
        .iter()
        .filter_map(|entry| if let Event::Opened(authorization) = &entry.event { Some(authorization) } else { None })
        .collect()
}

fn opened(relay: &Relay) -> usize {
    relay.look(|entries| streams(entries).len())
}

fn c21_c25_stream_error(peer: Peer) -> Result<()> {
    let (scene, relay) = Scene::relayed(peer)?;
    let refresh = |token: &str| {
        relay.tell_worker(Outbound::TokenRefresh(TokenRefresh { token: token.into(), expires_at_unix: i64::MAX }))
    };
    refresh("fresh")?;
    refresh("")?;
    scene.serves()?;
    relay.look(|entries| assert_eq!(streams(entries), [&None], "the live stream goes on"));
    relay.end(Status::unavailable("for a while"))?;
    let waited = relay.wait("another dial", |entries| {
        let ended = entries.iter().find(|entry| entry.ended().is_some())?.at;
        let next = entries.iter().find(|entry| entry.stream == 1)?;
        Some(next.at - ended)
    })?;
    assert!(waited < FIRST_REDIAL_MAX, "{waited:?}");
    relay.look(|entries| assert_eq!(streams(entries), [&None, &Some("Bearer fresh".to_owned())]));
    relay.wait("Hello", |entries| wire::hello(entries, 1).map(drop))?;
    scene.serves()
}

fn c23_redirects(peer: Peer) -> Result<()> {
    let mut hops = Vec::new();
    let (scene, relay) = Scene::relayed(peer)?;
    for _ in 0..4 {
        hops.push(Relay::to(scene.pool.wire()?)?);
    }
    let not_leader = |relay: &Relay| Status::failed_precondition(format!("not_leader:{}", relay.address()));
    // One hop.
    relay.end(not_leader(&hops[0]))?;
    hops[0].wait("the leader to be dialed", |entries| wire::hello(entries, 0).map(drop))?;
    scene.serves()?;
    assert_eq!(opened(&relay), 1);
    // Four hops in a row, of which three are followed.
    for pair in hops.windows(2) {
        pair[0].refuse([not_leader(&pair[1])]);
    }
    relay.refuse([not_leader(&hops[0])]);
    hops[0].end(Status::unavailable("no leader any more"))?;
    relay.wait("the first address again", |entries| wire::hello(entries, 2).map(drop))?;
    let counts: Vec<_> = hops.iter().map(opened).collect();
    assert_eq!((opened(&relay), counts.as_slice()), (3, [2, 1, 1, 0].as_slice()));
    scene.serves()
}

fn c24_unauthenticated(peer: Peer) -> Result<()> {
    let refusals = (0..3).map(|_| Status::unauthenticated("worker token was refused"));
    let (scene, relay) = Scene::behind(peer, |relay| relay.refuse(refusals))?;
    relay.wait("a fourth dial", |entries| wire::hello(entries, 3).map(drop))?;
    scene.pool.worker("w1")?;
    scene.serves()
}

fn c24_worker_id_mismatch(peer: Peer) -> Result<()> {
    let refusal = Status::failed_precondition("worker_id_mismatch");
    let (mut scene, relay) = Scene::behind(peer, |relay| relay.refuse([refusal]))?;
    let status = scene.worker.process.wait()?;
    assert_eq!(status.code(), Some(1), "{}", scene.worker.process.log());
    assert_eq!(opened(&relay), 1, "at once");
    Ok(())
}

/// A minute, and nothing shorter shows it.
#[test]
fn c24_a_dead_token_ends_the_worker() -> Result<()> {
    let begun = Peer::ALL.map(|peer| {
        // More than any worker asks for in that time.
        let refusals = (0..1_000).map(|_| Status::unauthenticated("worker token was refused"));
        Scene::behind(peer, |relay| relay.refuse(refusals))
    });
    for begun in begun {
        let (mut scene, relay) = begun?;
        let process = &mut scene.worker.process;
        while process.is_running() {
            let dials = opened(&relay);
            eventually("another dial, or the end", || (!process.is_running() || opened(&relay) > dials).then_some(()))?;
        }
        assert_eq!(process.wait()?.code(), Some(1), "{}", process.log());
        assert!(opened(&relay) >= 3, "{} strikes", opened(&relay));
        let lived = relay.look(|entries| entries.first().map(|first| first.at.elapsed()));
        assert!(lived >= Some(Duration::from_secs(60)), "{lived:?}");
    }
    Ok(())
}

with_every_peer!(c21_c25_stream_error, c23_redirects, c24_unauthenticated, c24_worker_id_mismatch);
