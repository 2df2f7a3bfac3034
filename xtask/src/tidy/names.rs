//! Rules about names of files.

use super::source::Source;

/// A file is named by the noun it defines; these define nothing.
const EMPTY: [&str; 7] = ["util", "utils", "common", "helper", "helpers", "misc", "imp"];

/// Where the changelog fragments are.
const CHANGES: &str = "changes/";

/// What breaks them in `source`.
pub(super) fn check(source: &Source) -> Vec<String> {
    let mut found = Vec::new();
    if source.path.ends_with(".rs") {
        let mut parts = source.path.trim_end_matches(".rs").split('/');
        if let Some(part) = parts.find(|part| EMPTY.contains(part)) {
            found.push(format!("{}: `{part}` names nothing", source.path));
        }
        // Tests of Cargo's own layout (`tests/it/main.rs`) are binaries, not modules.
        if source.path.ends_with("/mod.rs") {
            found.push(format!("{}: write `foo.rs` beside `foo/`", source.path));
        }
    }
    if let Some(fragment) = source.path.strip_prefix(CHANGES).filter(|name| *name != "README.md") {
        let slug = fragment.strip_suffix(".md").unwrap_or_default();
        let letters = slug.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
        if slug.is_empty() || !letters || slug.starts_with('-') || slug.ends_with('-') {
            found.push(format!("{}: a fragment is called `changes/<lower-case-words>.md`", source.path));
        }
        if !source.text.starts_with("# ") {
            found.push(format!("{}:1: a fragment starts with its title, `# …`", source.path));
        }
    }
    found
}
