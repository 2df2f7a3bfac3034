//! The README's first example.

const README: &str = include_str!("../../../../README.md");

/// The first block of Rust, without blank lines. That it compiles is for the documentation tests.
fn example() -> Vec<&'static str> {
    let mut lines = README.lines().skip_while(|line| *line != "```rust").skip(1);
    lines.by_ref().take_while(|line| *line != "```").filter(|line| !line.trim().is_empty()).collect()
}

#[test]
fn e7_the_first_example_is_short() {
    let lines = example();
    assert!(lines.iter().any(|line| line.starts_with("#[endpoint]")), "{lines:?}");
    assert!(lines.len() <= 20, "{} lines", lines.len());
}
