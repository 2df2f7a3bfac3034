use std::collections::BTreeSet;

use super::*;

#[test]
fn reference_page_is_current() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/env.md");
    let page = std::fs::read_to_string(path).unwrap_or_default();
    assert!(
        page == reference(),
        "docs/env.md is not current: cargo run -p gen-worker-cli --example env_reference > docs/env.md"
    );
}

#[test]
fn names_are_unique() {
    let mut seen = BTreeSet::new();
    for name in VARIABLES.iter().flat_map(|variable| variable.names()) {
        assert!(seen.insert(name), "{name} stands twice");
    }
}

#[test]
fn modern_name_wins_and_empty_is_unset() {
    let both = Environment::of_pairs(&[("ORCHESTRATOR_URL", "old:1"), ("ORCHESTRATOR_PUBLIC_ADDR", "new:1")]);
    assert_eq!(both.text(&names::ORCHESTRATOR_PUBLIC_ADDR).unwrap(), Some("new:1"));
    let old = Environment::of_pairs(&[("ORCHESTRATOR_URL", " old:1 ")]);
    assert_eq!(old.text(&names::ORCHESTRATOR_PUBLIC_ADDR).unwrap(), Some("old:1"));
    let empty = Environment::of_pairs(&[("ORCHESTRATOR_PUBLIC_ADDR", ""), ("ORCHESTRATOR_URL", "old:1")]);
    assert_eq!(empty.text(&names::ORCHESTRATOR_PUBLIC_ADDR).unwrap(), Some("old:1"));
}

#[test]
fn bad_values_name_the_variable_only() {
    let env = Environment::of_pairs(&[("RECONNECT_DELAY", "secret"), ("WORKER_MAX_CONCURRENCY", "-1")]);
    let error = env.seconds(&names::RECONNECT_DELAY).unwrap_err();
    assert!(error.message().contains("RECONNECT_DELAY") && !error.message().contains("secret"));
    assert!(env.parsed::<usize>(&names::WORKER_MAX_CONCURRENCY, "a number").is_err());
    let env = Environment::of_pairs(&[("RECONNECT_DELAY", "-1")]);
    assert!(env.seconds(&names::RECONNECT_DELAY).is_err());
}

#[test]
fn switches_read_as_the_peer_does() {
    for (text, on) in [("1", true), ("TRUE", true), ("yes", true), ("0", false), ("off", false), ("", false)] {
        let env = Environment::of_pairs(&[("USE_TLS", text)]);
        assert_eq!(env.switch(&names::USE_TLS).unwrap(), on, "{text:?}");
    }
}
