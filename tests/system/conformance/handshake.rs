//! C1 and C22: the first words on a stream, and their absence.

use std::{
    mem,
    time::{Duration, Instant},
};

use anyhow::{Result, bail};
use gen_worker_proto::pb::{ProtocolVersion, scheduler_message::Msg as Outbound, worker_message::Msg};
use gen_worker_tests::{Entry, Event};
use tonic::Code;

use super::{Scene, at_once, wire};

/// When something happened on a stream.
fn at(entries: &[Entry], stream: usize, of: impl Fn(&Event) -> bool) -> Option<Instant> {
    entries.iter().find(|entry| entry.stream == stream && of(&entry.event)).map(|entry| entry.at)
}

/// 30 s, and nothing shorter shows it.
#[test]
fn c1_c22_silent_orchestrator() -> Result<()> {
    let begin = |peer| {
        let mut first = true;
        Scene::behind(peer, |relay| {
            relay.withhold(move |event| {
                matches!(event, Event::Orchestrator(Outbound::HelloAck(_))) && mem::take(&mut first)
            });
        })
    };
    at_once(begin, |scene, relay| {
        relay.wait("another handshake", |entries| at(entries, 1, |event| matches!(event, Event::Orchestrator(_))))?;
        relay.look(|entries| {
            let said: Vec<_> = entries.iter().filter(|entry| entry.stream == 0).filter_map(Entry::worker).collect();
            let [Msg::Hello(hello)] = said.as_slice() else { bail!("Hello and nothing before the ack: {said:?}") };
            assert_eq!((hello.protocol_version(), hello.worker_id.as_str()), (ProtocolVersion::Current, "w1"));
            let times = at(entries, 0, |event| matches!(event, Event::Worker(_)))
                .zip(at(entries, 0, |event| matches!(event, Event::BrokenOff | Event::HalfClosed)));
            let waited = times.map(|(hello, gone)| gone - hello);
            assert!(waited > Some(Duration::from_secs(20)), "30 s, of which dial and Hello took some: {waited:?}");
            Ok(())
        })?;
        scene.pool.worker("w1")?;
        scene.serves()
    })
}

/// 15 s, and nothing shorter shows it.
#[test]
fn c22_silent_worker() -> Result<()> {
    let begin = |peer| {
        let mut first = true;
        Scene::behind(peer, |relay| {
            relay.withhold(move |event| matches!(event, Event::Worker(Msg::Hello(_))) && mem::take(&mut first));
        })
    };
    at_once(begin, |scene, relay| {
        let ended = relay.wait("the end of the stream", |entries| entries.iter().find_map(|e| e.ended().cloned()))?;
        assert_eq!((ended.code(), ended.message()), (Code::DeadlineExceeded, "hello_timeout"));
        relay.wait("another Hello", |entries| wire::hello(entries, 1).map(drop))?;
        scene.pool.worker("w1")?;
        scene.serves()
    })
}
