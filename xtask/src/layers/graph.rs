//! The workspace as a graph: direct arrows from the manifests, and what each crate alone really links.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result};
use cargo_metadata::{DependencyKind, MetadataCommand};

use crate::paths::Paths;
use crate::process;

/// Every crate of the workspace by package name.
#[derive(Debug, Default)]
pub(super) struct Graph {
    pub(super) crates: BTreeMap<String, Node>,
}

/// One crate of the workspace.
#[derive(Debug, Default)]
pub(super) struct Node {
    /// Packages it depends on directly, also optionally and for its build.
    pub(super) imports: BTreeSet<String>,
    /// Packages only its tests, examples and benches depend on directly.
    pub(super) test_imports: BTreeSet<String>,
    /// Every package in its own resolved graph with the features that are on there; without tests, on this platform.
    pub(super) linked: BTreeMap<String, BTreeSet<String>>,
}

impl Node {
    /// Is `what` (a package, or `package:feature`) in the resolved graph?
    pub(super) fn links(&self, what: &str) -> bool {
        match what.split_once(':') {
            None => self.linked.contains_key(what),
            Some((package, feature)) => self.linked.get(package).is_some_and(|features| features.contains(feature)),
        }
    }
}

/// Reads the graph of the workspace. Needs the locked dependencies, not the network.
pub(super) fn read(paths: &Paths) -> Result<Graph> {
    let metadata = MetadataCommand::new()
        .manifest_path(paths.root().join("Cargo.toml"))
        .no_deps()
        .exec()
        .context("read cargo metadata")?;
    let mut graph = Graph::default();
    for package in metadata.workspace_packages() {
        let mut node = Node { linked: linked(paths, package.name.as_str())?, ..Node::default() };
        for dependency in &package.dependencies {
            let set = match dependency.kind {
                DependencyKind::Development => &mut node.test_imports,
                _ => &mut node.imports,
            };
            set.insert(dependency.name.clone());
        }
        graph.crates.insert(package.name.to_string(), node);
    }
    Ok(graph)
}

fn linked(paths: &Paths, package: &str) -> Result<BTreeMap<String, BTreeSet<String>>> {
    let mut tree = paths.cargo();
    tree.args(["tree", "--package", package, "--edges", "normal,build", "--prefix", "none", "--format", "{p}|{f}"]);
    Ok(parse_tree(&process::output(&mut tree)?))
}

/// Lines such as `tokio v1.54.1|rt,sync (*)`; the first word is the package, after the bar stand its features.
pub(super) fn parse_tree(tree: &str) -> BTreeMap<String, BTreeSet<String>> {
    let mut linked: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for line in tree.lines() {
        let (package, features) = line.split_once('|').unwrap_or((line, ""));
        let Some(name) = package.split_whitespace().next() else { continue };
        let features = features.trim_end_matches("(*)").trim().split(',').filter(|feature| !feature.is_empty());
        linked.entry(name.to_owned()).or_default().extend(features.map(str::to_owned));
    }
    linked
}
