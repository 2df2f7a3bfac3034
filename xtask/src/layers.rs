//! `cargo xtask layers`: who may import whom, and what no crate may link.
//!
//! The table below is the only list of arrows. The picture in `ARCHITECTURE.md` is written from it (`--write`), and a difference
//! fails. Foreign crates are checked in the graph that Cargo resolves for each crate alone, because the workspace as a whole
//! unites features: there, every endpoint would seem to link the orchestrator.

mod graph;
mod picture;

use std::collections::BTreeSet;

use anyhow::{Context, Result, bail};

use crate::paths::Paths;
use crate::process::say;
use crate::section;
use graph::Graph;

/// The page with the picture, and the section in it.
const PAGE: &str = "ARCHITECTURE.md";
const SECTION: &str = "layers";

/// One crate of ours.
struct Layer {
    /// The package.
    name: &'static str,
    /// Arrows point to lower floors only.
    floor: u8,
    /// Ours that it imports, all of them and no others.
    imports: &'static [&'static str],
    /// Ours that its tests, examples and benches import besides.
    tests_import: &'static [&'static str],
    /// Foreign crates that it must not name itself.
    must_not_import: &'static [&'static str],
    /// Crates, or `crate:feature`, that must not be in its graph at all, however far down.
    must_not_link: &'static [&'static str],
}

/// May import anything below it, nobody imports it.
const TOP: u8 = 7;

const NUMBERS: [&str; 3] = ["candle-core", "candle-nn", "tokenizers"];

#[rustfmt::skip]
const LAYERS: &[Layer] = &[
    Layer {
        name: "gen-worker-proto", floor: 1, imports: &[], tests_import: &[], must_not_import: &["tokio"],
        must_not_link: &["tokio:rt", "tokio:net", "tokio:time", "tokio:fs", "tokio:process", "hyper", "axum", "reqwest", "rusqlite", "rustls", "candle-core"],
    },
    Layer {
        name: "gen-worker-tasks", floor: 1, imports: &[], tests_import: &[], must_not_import: &[],
        must_not_link: &["tokio:net", "tokio:fs", "tokio:process", "tonic", "hyper", "axum", "reqwest", "rusqlite", "candle-core"],
    },
    Layer {
        name: "gen-worker-allocator", floor: 1, imports: &[], tests_import: &[], must_not_import: &["tokio"],
        must_not_link: &["tokio", "tonic", "hyper", "axum", "reqwest", "rusqlite", "candle-core"],
    },
    Layer {
        name: "gen-worker-macros", floor: 1, imports: &[], tests_import: &[], must_not_import: &[],
        must_not_link: &["tokio", "tonic", "prost", "serde", "schemars"],
    },
    Layer {
        name: "gen-worker-postgres", floor: 1, imports: &[], tests_import: &[], must_not_import: &["tokio"],
        must_not_link: &["tokio", "rusqlite", "tokio-postgres", "candle-core"],
    },
    Layer {
        name: "gen-worker-hub", floor: 1, imports: &[], tests_import: &["gen-worker-tasks"], must_not_import: &["hyper"],
        must_not_link: &["tokio:fs", "tokio:process", "tonic", "prost", "axum", "rusqlite", "candle-core", "aws-lc-sys"],
    },
    Layer {
        name: "gen-worker-store", floor: 2, imports: &["gen-worker-hub", "gen-worker-tasks"], tests_import: &["gen-worker-hubd"], must_not_import: &["hyper"],
        must_not_link: &["tonic", "prost", "axum", "rusqlite", "candle-core", "aws-lc-sys", "gen-worker-core"],
    },
    Layer {
        name: "gen-worker-core", floor: 3, imports: &["gen-worker-hub", "gen-worker-proto", "gen-worker-store", "gen-worker-tasks"], tests_import: &[], must_not_import: &[],
        must_not_link: &["axum", "rusqlite", "tokio-postgres", "safetensors", "gemm", "candle-core", "tokenizers", "gen-worker-orchestrator", "gen-worker-cli"],
    },
    Layer {
        name: "gen-worker-orchestrator", floor: 3, imports: &["gen-worker-proto", "gen-worker-tasks"], tests_import: &["gen-worker-allocator"], must_not_import: &[],
        must_not_link: &["safetensors", "gemm", "candle-core", "tokenizers", "gen-worker-core", "gen-worker-inference", "gen-worker-macros", "gen-worker-cli"],
    },
    Layer {
        name: "gen-worker-hubd", floor: 3, imports: &["gen-worker-hub", "gen-worker-tasks"], tests_import: &["gen-worker-hub", "gen-worker-postgres"], must_not_import: &[],
        must_not_link: &["tonic", "prost", "safetensors", "gemm", "candle-core", "tokenizers", "gen-worker-core", "gen-worker-orchestrator", "gen-worker-proto", "gen-worker-cli"],
    },
    Layer {
        name: "gen-worker-inference", floor: 4, imports: &["gen-worker-core"], tests_import: &["gen-worker-allocator", "gen-worker-proto"], must_not_import: &["tonic", "prost"],
        must_not_link: &["axum", "hf-hub", "rusqlite", "gen-worker-orchestrator", "gen-worker-cli"],
    },
    Layer {
        name: "gen-worker", floor: 5, imports: &["gen-worker-core", "gen-worker-inference", "gen-worker-macros"], tests_import: &["gen-worker-proto"], must_not_import: &["tonic", "prost"],
        must_not_link: &["axum", "rusqlite", "candle-core", "tokenizers", "gen-worker-orchestrator", "gen-worker-cli"],
    },
    Layer {
        name: "gen-worker-cli", floor: 6, imports: &["gen-worker-allocator", "gen-worker-core", "gen-worker-hub", "gen-worker-hubd", "gen-worker-orchestrator", "gen-worker-proto", "gen-worker-store", "gen-worker-tasks"], tests_import: &[], must_not_import: &["prost", "rusqlite", "axum"],
        must_not_link: &NUMBERS,
    },
    Layer {
        name: "example-marco-polo", floor: TOP, imports: &["gen-worker-allocator", "gen-worker", "gen-worker-cli"], tests_import: &[], must_not_import: &["tonic", "prost"],
        must_not_link: &["axum", "rusqlite", "candle-core", "tokenizers", "gen-worker-orchestrator"],
    },
    Layer {
        name: "example-embed", floor: TOP, imports: &["gen-worker-allocator", "gen-worker", "gen-worker-cli"], tests_import: &[], must_not_import: &["tonic", "prost"],
        must_not_link: &["axum", "rusqlite", "gen-worker-orchestrator"],
    },
    Layer {
        name: "gen-worker-fuzz-targets", floor: TOP, imports: &["gen-worker-core", "gen-worker-hub", "gen-worker-orchestrator", "gen-worker-proto"], tests_import: &[], must_not_import: &["tokio", "tonic"],
        must_not_link: &[],
    },
    Layer {
        name: "gen-worker-tests", floor: TOP, imports: &[], tests_import: &[], must_not_import: &[],
        must_not_link: &[],
    },
    Layer {
        name: "gen-worker-sim", floor: TOP, imports: &["gen-worker-core", "gen-worker-orchestrator", "gen-worker-proto", "gen-worker-tasks"], tests_import: &[], must_not_import: &[],
        must_not_link: &NUMBERS,
    },
    Layer {
        name: "xtask", floor: TOP, imports: &[], tests_import: &[], must_not_import: &["tokio", "reqwest"],
        must_not_link: &["rusqlite", "candle-core", "rustls"],
    },
];

/// The package that may import anything: the system tests meet every crate.
const FREE: &str = "gen-worker-tests";

/// Checks the table against the workspace, and the picture against the table. With `write` the picture is written instead.
pub(crate) fn run(paths: &Paths, write: bool) -> Result<()> {
    let violations = violations(LAYERS, &graph::read(paths)?);
    if !violations.is_empty() {
        bail!(
            "{} crate arrows are wrong (the table is in xtask/src/layers.rs):\n  {}",
            violations.len(),
            violations.join("\n  ")
        );
    }
    let page = paths.root().join(PAGE);
    let picture = picture::draw(LAYERS);
    if write {
        section::replace(&page, SECTION, &picture)?;
    }
    let text = std::fs::read_to_string(&page).with_context(|| format!("read {PAGE}"))?;
    if section::read(&text, SECTION) != Some(picture.trim()) {
        bail!("the picture in {PAGE} differs from the table; run `cargo xtask layers --write` and commit the result");
    }
    say(&format!("layers: {} crates, every arrow is in the table", LAYERS.len()));
    Ok(())
}

/// Everything in `graph` that the table does not allow, and everything in the table that is not there.
fn violations(table: &[Layer], graph: &Graph) -> Vec<String> {
    let known: BTreeSet<&str> = table.iter().map(|layer| layer.name).collect();
    let mut found: Vec<String> = Vec::new();
    for name in graph.crates.keys().filter(|name| !known.contains(name.as_str())) {
        found.push(format!("{name} has no row"));
    }
    for layer in table {
        let Some(node) = graph.crates.get(layer.name) else {
            found.push(format!("{} has a row but is no crate of the workspace", layer.name));
            continue;
        };
        for target in layer.imports.iter().chain(layer.tests_import) {
            if table.iter().any(|other| other.name == *target && other.floor >= layer.floor)
                && layer.imports.contains(target)
            {
                found.push(format!("{} -> {target} does not point down", layer.name));
            }
        }
        if layer.name != FREE {
            found.extend(arrows(layer, graph, node));
        }
        let import = |name: &&&str| node.imports.contains(**name);
        found.extend(
            layer.must_not_import.iter().filter(import).map(|name| format!("{} must not import {name}", layer.name)),
        );
        let linked = layer.must_not_link.iter().filter(|what| node.links(what));
        found.extend(linked.map(|what| format!("{} must not link {what}, but its graph holds it", layer.name)));
    }
    found
}

/// Where the arrows of one crate differ from its row.
fn arrows(layer: &Layer, graph: &Graph, node: &graph::Node) -> Vec<String> {
    let ours = |set: &BTreeSet<String>| -> BTreeSet<String> {
        set.iter().filter(|name| graph.crates.contains_key(*name)).cloned().collect()
    };
    let (imports, tests) = (ours(&node.imports), ours(&node.test_imports));
    let allowed = |name: &String| layer.imports.contains(&name.as_str());
    let allowed_in_tests = |name: &String| allowed(name) || layer.tests_import.contains(&name.as_str());
    let mut found: Vec<String> = Vec::new();
    found.extend(
        imports
            .iter()
            .filter(|name| !allowed(name))
            .map(|name| format!("{} -> {name} is not in the table", layer.name)),
    );
    found.extend(
        tests
            .iter()
            .filter(|name| !allowed_in_tests(name))
            .map(|name| format!("{} -> {name} (tests) is not in the table", layer.name)),
    );
    let gone = layer.imports.iter().filter(|name| !imports.contains(**name));
    found.extend(gone.map(|name| format!("{} -> {name} is in the table but not in the workspace", layer.name)));
    let gone = layer.tests_import.iter().filter(|name| !tests.contains(**name));
    found.extend(gone.map(|name| format!("{} -> {name} (tests) is in the table but not in the workspace", layer.name)));
    found
}

#[cfg(test)]
mod tests;
