//! The README is read as its readers read it.

use super::*;

const README: &str = "\
# Title
Use `cargo xtask test --not-this`.
```rust
cargo xtask test --nor-this
```
```sh
# a comment
cargo xtask demo
cargo xtask test
```
";

#[test]
fn the_test_command_is_taken_from_shell_blocks_only() {
    assert_eq!(test_command(README).unwrap(), "cargo xtask test");
    assert!(test_command("```sh\ncargo xtask tests\n```").is_err());
}

#[test]
fn our_own_readme_has_what_the_commands_expect() {
    let readme = include_str!("../../../README.md");
    assert_eq!(test_command(readme).unwrap(), "cargo xtask test");
    for section in ["bench", "parity"] {
        crate::section::with(readme, section, "").unwrap();
    }
}
