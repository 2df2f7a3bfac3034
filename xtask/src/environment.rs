//! What this command reads from the environment, all of it.

use std::ffi::OsString;
use std::path::PathBuf;

/// Are we in CI? By the convention that every CI service follows, `CI` is set and neither empty nor `false`.
pub(crate) fn in_ci() -> bool {
    variable("CI").is_some_and(|value| !value.is_empty() && value != "false" && value != "0")
}

/// The program called `name` on the search path, or among Cargo's installed ones.
pub(crate) fn find_program(name: &str) -> Option<PathBuf> {
    let path = variable("PATH").unwrap_or_default();
    let cargo_bin = variable("CARGO_HOME")
        .map(PathBuf::from)
        .or_else(|| variable("HOME").map(|home| PathBuf::from(home).join(".cargo")))
        .map(|home| home.join("bin"));
    std::env::split_paths(&path).chain(cargo_bin).map(|dir| dir.join(name)).find(|file| file.is_file())
}

/// The variables that `cargo run` adds for its child and that a Cargo started from a shell would not see.
pub(crate) fn set_by_cargo() -> Vec<OsString> {
    const PREFIXES: [&str; 3] = ["CARGO_PKG_", "CARGO_MANIFEST_", "CARGO_BIN_"];
    std::env::vars_os()
        .map(|(name, _)| name)
        .filter(|name| name.to_str().is_some_and(|name| PREFIXES.iter().any(|prefix| name.starts_with(prefix))))
        .collect()
}

#[expect(clippy::disallowed_methods, reason = "this command has no library users; this is its one reader")]
fn variable(name: &str) -> Option<OsString> {
    std::env::var_os(name)
}
