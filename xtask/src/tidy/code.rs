//! Rules about Rust code.

use super::source::{Line, Source};

/// Never in code that is kept. The needles are joined here so that this file does not contain them.
const UNFINISHED: [&str; 3] = [concat!("to", "do!("), concat!("unimple", "mented!("), concat!("TO", "DO")];
const ALLOW: [&str; 3] = [concat!("#[al", "low("), concat!("#![al", "low("), concat!(", al", "low(")];
const IGNORE: &str = concat!("#[ig", "nore");
const THREAD_SLEEP: &str = concat!("thread::sle", "ep(");
/// On a paused clock this only says what time it is next.
const TASK_SLEEP: &str = concat!("time::sle", "ep(");

/// What breaks them in `source`.
pub(super) fn check(source: &Source) -> Vec<String> {
    if !source.is_rust() {
        return Vec::new();
    }
    let mut found = Vec::new();
    // `foo/tests.rs` is about `foo.rs`, which says its purpose.
    if !source.text.starts_with("//!") && !source.path.ends_with("/tests.rs") {
        found.push(format!("{}:1: a file starts with `//!`: its purpose and who owns its state", source.path));
    }
    found.extend(source.lines().filter(|line| !line.excused).filter_map(|line| Some(line.finding(breach(&line)?))));
    found
}

fn breach(line: &Line<'_>) -> Option<&'static str> {
    if line.text.contains(UNFINISHED[2]) || UNFINISHED[..2].iter().any(|needle| line.code().contains(needle)) {
        return Some("unfinished code");
    }
    let code = line.code();
    let attribute = code.trim_start().starts_with("#[") || code.trim_start().starts_with("#![");
    if attribute && ALLOW.iter().any(|needle| code.contains(needle)) {
        return Some("a lint is expected with a reason, never allowed");
    }
    if line.in_tests && code.contains(IGNORE) {
        return Some("a test that does not run proves nothing");
    }
    let sleeps = code.contains(THREAD_SLEEP) || (code.contains(TASK_SLEEP) && !line.clock_is_paused);
    if line.in_tests && sleeps {
        return Some("a test waits for an event, not for time");
    }
    None
}
