//! Each rule finds its breach and spares what is fine. Forbidden words are written with a gap, or this file would break the rules.

use super::source::Source;
use super::{findings, size, spec_rules};

/// A file; `§` in the text vanishes, which keeps forbidden words out of this one.
fn file(path: &str, text: &str) -> Source {
    Source { path: path.to_owned(), text: text.replace('§', "") }
}

fn found(path: &str, text: &str) -> Vec<String> {
    findings(&[file(path, text)])
}

#[track_caller]
fn assert_found(path: &str, text: &str, expected: &str) {
    let found = found(path, text);
    assert!(found.len() == 1 && found[0].contains(expected), "{found:?}");
}

#[track_caller]
fn assert_fine(path: &str, text: &str) {
    assert_eq!(found(path, text), Vec::<String>::new());
}

#[test]
fn a_module_says_its_purpose() {
    assert_found("crates/a/src/b.rs", "fn b() {}\n", "starts with `//!`");
    assert_fine("crates/a/src/b.rs", "//! B.\nfn b() {}\n");
    assert_fine("crates/proto/src/generated.rs", "// Generated.\n");
    assert_fine("crates/a/src/b/tests.rs", "use super::*;\n");
}

#[test]
fn lints_are_expected_not_allowed() {
    assert_found("a/src/b.rs", "//! B.\n#[al§low(dead_code)]\nfn b() {}\n", "a/src/b.rs:2: a lint is expected");
    assert_found("a/src/b.rs", "//! B.\n#![al§low(dead_code)]\n", "a lint is expected");
    assert_found("a/src/b.rs", "//! B.\n#[cfg_attr(test, al§low(dead_code))]\n", "a lint is expected");
    assert_fine("a/src/b.rs", "//! B.\n#[expect(dead_code, reason = \"b\")]\nfn allow() {}\n");
}

#[test]
fn unfinished_code_is_found() {
    assert_found("a/src/b.rs", "//! B.\nfn b() { to§do!(\"later\") }\n", "unfinished");
    assert_found("a/src/b.rs", "//! B.\nfn b() { unimple§mented!() }\n", "unfinished");
    assert_found("a/src/b.rs", "//! B.\n// TO§DO: b\n", "unfinished");
}

#[test]
fn tests_do_not_sleep_and_are_not_ignored() {
    for text in ["std::thread::sle§ep(SECOND);", "tokio::time::sle§ep(SECOND).await;"] {
        assert_found("a/src/b/tests.rs", &format!("//! B.\n{text}\n"), "waits for an event");
        assert_found("tests/tests/it.rs", &format!("//! B.\n{text}\n"), "waits for an event");
        assert_found("a/src/b.rs", &format!("//! B.\n#[cfg(test)]\nmod tests {{\n{text}\n}}\n"), "waits for an event");
        assert_fine("a/src/b.rs", &format!("//! B.\n{text}\n"));
    }
    let paused = "//! B.\n#[tokio::test(start_paused = true)]\n";
    assert_fine("a/tests/b.rs", &format!("{paused}tokio::time::sle§ep(SECOND).await;\n"));
    assert_found("a/tests/b.rs", &format!("{paused}std::thread::sle§ep(SECOND);\n"), "waits for an event");
    assert_fine("tests/src/bin/b.rs", "//! B.\nstd::thread::sle§ep(SECOND);\n");
    assert_found("a/tests/b.rs", "//! B.\n#[ig§nore]\nfn b() {}\n", "does not run");
}

#[test]
fn an_excuse_needs_a_reason() {
    assert_fine("a/tests/b.rs", "//! B.\n// tidy: the clock is paused\nstd::thread::sle§ep(SECOND);\n");
    assert_fine("a/tests/b.rs", "//! B.\nstd::thread::sle§ep(SECOND); // tidy: the clock is paused\n");
    assert_found("a/tests/b.rs", "//! B.\n// tidy:\nstd::thread::sle§ep(SECOND);\n", "waits for an event");
    assert_found(
        "a/tests/b.rs",
        "//! B.\nlet a = 1; // tidy: of this line only\nstd::thread::sle§ep(SECOND);\n",
        "waits for an event",
    );
}

#[test]
fn names_name_something() {
    assert_found("a/src/utils.rs", "//! B.\n", "`utils` names nothing");
    assert_found("a/src/common/b.rs", "//! B.\n", "`common` names nothing");
    assert_found("a/src/b/mod.rs", "//! B.\n", "write `foo.rs`");
    assert_fine("a/src/common_ground.rs", "//! B.\n");
}

#[test]
fn fragments_have_a_slug_and_a_title() {
    assert_fine("changes/first-pool.md", "# The first pool\n");
    assert_fine("changes/README.md", "How to write one.\n");
    assert_found("changes/First.md", "# The first pool\n", "lower-case-words");
    assert_found("changes/first", "# The first pool\n", "lower-case-words");
    assert_found("changes/first.md", "The first pool\n", "its title");
}

#[test]
fn machines_are_not_mentioned() {
    assert_found("docs/a.md", "see /ro§ot/me/a\n", "somebody's machine");
    assert_found("docs/a.md", "`/wo§rk/main`\n", "somebody's machine");
    assert_fine("docs/a.md", "https://host/ro§ot/page and net/wo§rk/er and target/ro§ot/x\n");
    assert_found("docs/a.md", "pip --index-§url http://host\n", "only somebody's machine can reach");
    assert_found("docs/a.md", "space \n", "white space");
    assert_found("docs/a.md", "no end", "no end");
}

#[test]
fn manifests_inherit() {
    let fine = "[package]\nname = \"a\"\nversion.workspace = true\nedition.workspace = true\nlicense.workspace = true\n\
                [dependencies]\nb.workspace = true\nc = { workspace = true, features = [\"d\"] }\n[lints]\nworkspace = true\n";
    assert_fine("crates/a/Cargo.toml", fine);
    assert_found(
        "crates/a/Cargo.toml",
        &fine.replace("edition.workspace = true", "edition = \"2021\""),
        "package.edition",
    );
    assert_found("crates/a/Cargo.toml", &fine.replace("b.workspace = true", "b = \"1\""), "dependencies.b");
    assert_found("crates/a/Cargo.toml", &fine.replace("[lints]\nworkspace = true\n", ""), "the lints");
    assert_fine("Cargo.toml", "[workspace]\n");
    let own = "[workspace]\n[package]\nname = \"a\"\nversion = \"1.0.0\"\n[dependencies]\nb = \"1\"\n";
    assert_fine("fuzz/Cargo.toml", own);
}

#[test]
fn tests_named_after_rules_are_counted() {
    let sources = [
        file(
            "a/src/b.rs",
            "//! B.\nfn w1_not_a_test() {}\n#[cfg(test)]\nfn w8_a() {}\nasync fn w8b_c() {}\nfn p14_d() {}\n",
        ),
        file("a/src/c.rs", "//! B.\n#[cfg(test)]\nfn without_rule() {}\nfn utf8_text() {}\n"),
    ];
    assert_eq!(
        spec_rules::summary(&sources),
        "tidy: 3 tests are named after spec rules (p 1 rules by 1, w 1 rules by 2)"
    );
}

#[test]
fn size_counts_code_without_tests_and_comments() {
    let sources =
        [file("a/src/b.rs", "//! B.\n\n// why\nfn b() {}\n#[cfg(test)]\nmod tests {}\n"), file("a/c.rs", "//! C.\n")];
    assert_eq!(
        size::largest(&sources),
        ["tidy:     1 lines of code in a/src/b.rs", "tidy:     0 lines of code in a/c.rs"]
    );
}
