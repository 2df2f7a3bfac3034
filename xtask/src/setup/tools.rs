//! Cargo's own additions: the test runner, and what CI checks with.

use anyhow::Result;

use super::{Need, Part};
use crate::environment;
use crate::paths::Paths;
use crate::process;

/// A program from crates.io. The versions are those we know to build and to read our configuration.
struct Tool {
    name: &'static str,
    version: &'static str,
    need: Need,
}

const TOOLS: [Tool; 3] = [
    Tool { name: "cargo-nextest", version: "0.9.143", need: Need::Test },
    Tool { name: "cargo-deny", version: "0.20.2", need: Need::Ci },
    Tool { name: "cargo-machete", version: "0.9.2", need: Need::Ci },
];

/// Parts of the toolchain that a minimal installation leaves out.
const COMPONENTS: [&str; 2] = ["rustfmt", "clippy"];

/// Everything of this kind.
pub(super) fn all() -> impl Iterator<Item = Part> {
    let tools = TOOLS.into_iter().map(|tool| Part {
        name: format!("{} {} (compiles for some minutes)", tool.name, tool.version),
        need: tool.need,
        // Any version that is there will do: a developer's own must not be replaced.
        missing: Box::new(move |_| {
            environment::find_program(tool.name).is_none().then(|| "not on this machine".to_owned())
        }),
        install: Box::new(move |paths| install(paths, &tool)),
    });
    COMPONENTS.into_iter().map(component).chain(tools)
}

fn component(name: &'static str) -> Part {
    let present = move |paths: &Paths| {
        let subcommand = if name == "rustfmt" { "fmt" } else { name };
        process::succeeds(paths.cargo().args([subcommand, "--version"]))
    };
    Part {
        name: format!("toolchain component {name}"),
        need: Need::Ci,
        missing: Box::new(move |paths| (!present(paths)).then(|| "not in this toolchain".to_owned())),
        install: Box::new(move |paths| process::run(paths.command("rustup").args(["component", "add", name]))),
    }
}

fn install(paths: &Paths, tool: &Tool) -> Result<()> {
    let mut cargo = paths.cargo();
    // A target directory of ours would mix its own, differently configured dependencies into ours.
    cargo.env_remove("CARGO_TARGET_DIR").args(["install", "--locked", "--version", tool.version, tool.name]);
    if tool.need == Need::Ci {
        // They run for seconds; without optimisation they compile in half the time.
        cargo.arg("--debug");
    }
    process::run(&mut cargo)
}
