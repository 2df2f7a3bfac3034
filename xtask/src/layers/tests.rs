//! Every kind of violation is found in a made-up workspace, and a clean one passes.

use super::graph::{Graph, Node, parse_tree};
use super::*;

const LOW: Layer = Layer {
    name: "low",
    floor: 1,
    imports: &[],
    tests_import: &[],
    must_not_import: &[],
    must_not_link: &["tokio:rt", "axum"],
};
const HIGH: Layer = Layer {
    name: "high",
    floor: 2,
    imports: &["low"],
    tests_import: &["side"],
    must_not_import: &["tonic"],
    must_not_link: &[],
};
const SIDE: Layer =
    Layer { name: "side", floor: 2, imports: &[], tests_import: &[], must_not_import: &[], must_not_link: &["low"] };

fn node(imports: &[&str], test_imports: &[&str], tree: &str) -> Node {
    let set = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    Node { imports: set(imports), test_imports: set(test_imports), linked: parse_tree(tree) }
}

/// A workspace that keeps to the table, before `change` spoils it.
fn found(change: impl FnOnce(&mut Graph)) -> Vec<String> {
    let mut graph = Graph::default();
    graph
        .crates
        .insert("low".to_owned(), node(&["serde"], &[], "low v0.1.0\ntokio v1.0.0|sync\nserde v1.0.0|derive,std (*)"));
    graph.crates.insert("high".to_owned(), node(&["low", "tokio"], &["side"], "high v0.1.0|\nlow v0.1.0|"));
    graph.crates.insert("side".to_owned(), node(&[], &[], "side v0.1.0|"));
    change(&mut graph);
    violations(&[LOW, HIGH, SIDE], &graph)
}

fn spoil(graph: &mut Graph, name: &str, change: impl FnOnce(&mut Node)) {
    change(graph.crates.get_mut(name).unwrap());
}

#[test]
fn a_workspace_that_keeps_to_the_table_passes() {
    assert_eq!(found(|_| ()), Vec::<String>::new());
}

#[test]
fn a_new_arrow_is_named_with_both_ends() {
    let found = found(|graph| spoil(graph, "side", |node| node.imports.extend(["high".to_owned()])));
    assert_eq!(found, ["side -> high is not in the table"]);
}

#[test]
fn a_new_arrow_of_tests_is_named_too() {
    let found = found(|graph| spoil(graph, "low", |node| node.test_imports.extend(["high".to_owned()])));
    assert_eq!(found, ["low -> high (tests) is not in the table"]);
}

#[test]
fn an_arrow_for_tests_does_not_serve_the_library() {
    let found = found(|graph| spoil(graph, "high", |node| node.imports.extend(["side".to_owned()])));
    assert_eq!(found, ["high -> side is not in the table"]);
}

#[test]
fn an_arrow_that_is_gone_has_to_leave_the_table() {
    let found = found(|graph| spoil(graph, "high", |node| node.imports.clear()));
    assert_eq!(found, ["high -> low is in the table but not in the workspace"]);
}

#[test]
fn an_arrow_up_in_the_table_itself_is_found() {
    let up = Layer { floor: 1, ..HIGH };
    let mut graph = Graph::default();
    graph.crates.insert("low".to_owned(), Node::default());
    graph.crates.insert("side".to_owned(), Node::default());
    graph.crates.insert("high".to_owned(), node(&["low"], &["side"], ""));
    assert_eq!(violations(&[LOW, up, SIDE], &graph), ["high -> low does not point down"]);
}

#[test]
fn a_crate_without_a_row_and_a_row_without_a_crate_are_found() {
    let found = found(|graph| {
        let side = graph.crates.remove("side").unwrap();
        graph.crates.insert("new".to_owned(), side);
        spoil(graph, "high", |node| node.test_imports.clear());
    });
    assert!(found.contains(&"new has no row".to_owned()), "{found:?}");
    assert!(found.contains(&"side has a row but is no crate of the workspace".to_owned()), "{found:?}");
}

#[test]
fn a_forbidden_import_is_found() {
    let found = found(|graph| spoil(graph, "high", |node| node.imports.extend(["tonic".to_owned()])));
    assert_eq!(found, ["high must not import tonic"]);
}

#[test]
fn a_forbidden_crate_far_down_the_graph_is_found() {
    let found = found(|graph| spoil(graph, "low", |node| node.linked.extend(parse_tree("axum v0.8.9|http1"))));
    assert_eq!(found, ["low must not link axum, but its graph holds it"]);
}

#[test]
fn a_forbidden_feature_is_found_and_other_features_are_not() {
    let found = found(|graph| {
        spoil(graph, "low", |node| node.linked.extend(parse_tree("tokio v1.0.0|sync (*)\ntokio v1.0.0|rt,sync")));
    });
    assert_eq!(found, ["low must not link tokio:rt, but its graph holds it"]);
}

#[test]
fn the_two_sides_of_the_wire_cannot_meet_in_the_real_table() {
    let row = |name: &str| LAYERS.iter().find(|layer| layer.name == name).unwrap();
    let orchestrator = row("gen-worker-orchestrator");
    for worker in ["gen-worker-core", "gen-worker-inference"] {
        assert!(orchestrator.must_not_link.contains(&worker), "{worker}");
    }
    for worker in ["gen-worker-core", "gen-worker-inference", "gen-worker", "example-marco-polo", "example-embed"] {
        assert!(row(worker).must_not_link.contains(&"gen-worker-orchestrator"), "{worker}");
    }
}

#[test]
fn nobody_imports_the_top_floor_and_xtask_imports_none_of_ours() {
    for layer in LAYERS {
        for target in layer.imports.iter().chain(layer.tests_import) {
            assert!(
                LAYERS.iter().any(|other| other.name == *target && other.floor < TOP),
                "{} -> {target}",
                layer.name
            );
        }
    }
    let xtask = LAYERS.iter().find(|layer| layer.name == "xtask").unwrap();
    assert!(xtask.imports.is_empty() && xtask.tests_import.is_empty());
}
