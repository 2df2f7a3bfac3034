//! The README as a source of commands, so that what it tells its readers is what CI runs.

use anyhow::{Context, Result};

/// The command that the README tells its readers to test with: the first one in it that begins with `cargo xtask test`.
pub(crate) fn test_command(readme: &str) -> Result<&str> {
    commands(readme)
        .find(|command| *command == "cargo xtask test" || command.starts_with("cargo xtask test "))
        .context("README.md shows no `cargo xtask test` command in a `sh` block")
}

/// The lines of all blocks of shell commands.
fn commands(readme: &str) -> impl Iterator<Item = &str> {
    let mut inside = false;
    readme.lines().map(str::trim).filter(move |line| {
        if let Some(language) = line.strip_prefix("```") {
            inside = !inside && matches!(language, "sh" | "bash" | "console");
            return false;
        }
        inside && !line.is_empty() && !line.starts_with('#')
    })
}

#[cfg(test)]
mod tests;
