//! Rules about the manifests of the crates: what all share is inherited.

use super::source::Source;

const INHERITED: [&str; 3] = ["version", "edition", "license"];

/// What breaks them in `source`, when it is the manifest of a member.
pub(super) fn check(source: &Source) -> Vec<String> {
    if !source.path.ends_with("/Cargo.toml") {
        return Vec::new();
    }
    let manifest: toml::Table = match source.text.parse() {
        Ok(manifest) => manifest,
        Err(error) => return vec![format!("{}: is not TOML: {error}", source.path)],
    };
    // A workspace of its own has nobody to inherit from.
    if manifest.contains_key("workspace") {
        return Vec::new();
    }
    let mut found = Vec::new();
    let mut say = |sentence: String| found.push(format!("{}: {sentence}", source.path));
    for key in INHERITED {
        if !inherits(manifest.get("package").and_then(|package| package.get(key))) {
            say(format!("`package.{key}` is not inherited from the workspace"));
        }
    }
    if !inherits(manifest.get("lints")) {
        say("the lints are not inherited from the workspace".to_owned());
    }
    for section in ["dependencies", "dev-dependencies", "build-dependencies"] {
        let table = manifest.get(section).and_then(|section| section.as_table());
        for (name, value) in table.into_iter().flatten().filter(|(_, value)| !inherits(Some(value))) {
            say(format!("`{section}.{name} = {value}` is not inherited from the workspace"));
        }
    }
    found
}

fn inherits(value: Option<&toml::Value>) -> bool {
    value.and_then(|value| value.get("workspace")).and_then(toml::Value::as_bool) == Some(true)
}
