//! The table as a picture for people.

use super::{FREE, Layer, TOP};

/// The arrows as a Markdown table, highest floor first.
pub(super) fn draw(table: &[Layer]) -> String {
    let mut rows: Vec<&Layer> = table.iter().collect();
    rows.sort_by_key(|layer| std::cmp::Reverse(layer.floor));
    let mut text = String::from("| floor | crate | imports | must not link |\n|---|---|---|---|\n");
    for layer in rows {
        let floor = if layer.floor == TOP { "top".to_owned() } else { layer.floor.to_string() };
        let mut imports = if layer.name == FREE { "anything".to_owned() } else { short(layer.imports) };
        if !layer.tests_import.is_empty() {
            imports.push_str(&format!("; in tests {}", short(layer.tests_import)));
        }
        let name = layer.name.trim_start_matches("gen-worker-");
        text.push_str(&format!("| {floor} | {name} | {imports} | {} |\n", short(layer.must_not_link)));
    }
    text
}

fn short(names: &[&str]) -> String {
    if names.is_empty() {
        return "-".to_owned();
    }
    names.iter().map(|name| name.trim_start_matches("gen-worker-")).collect::<Vec<_>>().join(", ")
}
