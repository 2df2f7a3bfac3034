//! Which provider a wire ref belongs to: the wire does not say, the manifest does (model contract, 2.6 and 2.7).

use std::collections::HashMap;

use serde_json::Value;

use crate::binding::Provider;

/// Deepest nesting of dispatch tables: they have one level, and nobody writes more than a few.
const DEPTH_MAX: u32 = 8;

/// Providers by ref. The first to name a ref keeps it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProviderIndex(HashMap<String, Provider>);

impl ProviderIndex {
    /// Reads `models`, the map of slots in the manifest of a function or of an endpoint. Entries that are none are skipped.
    #[must_use]
    pub fn of_models(models: &Value) -> Self {
        let mut index = Self::default();
        index.add_models(models);
        index
    }

    /// Adds the slots of another map.
    pub fn add_models(&mut self, models: &Value) {
        for entry in models.as_object().into_iter().flat_map(|slots| slots.values()) {
            self.add_entry(entry, 0);
        }
    }

    /// Who keeps `reference`: as it stands, without blanks, and without the tag behind its last slash. `default` when no
    /// manifest names it.
    #[must_use]
    pub fn provider_of(&self, reference: &str, default: Provider) -> Provider {
        let trimmed = reference.trim();
        let found = self.0.get(reference).or_else(|| self.0.get(trimmed));
        found.or_else(|| self.0.get(&without_tag(trimmed)?)).copied().unwrap_or(default)
    }

    fn add_entry(&mut self, entry: &Value, depth: u32) {
        let dispatch = entry.get("dispatch").or_else(|| entry.get("table")).and_then(Value::as_object);
        if let Some(table) = dispatch.filter(|_| depth < DEPTH_MAX) {
            table.values().for_each(|entry| self.add_entry(entry, depth + 1));
        }
        let text = |name: &str| entry.get(name).and_then(Value::as_str).map_or("", str::trim);
        let Ok(provider) = text("provider").parse::<Provider>() else { return };
        let base = text("ref");
        if base.is_empty() {
            return;
        }
        let (flavor, revision) = (mark('#', text("flavor")), mark('@', text("revision")));
        let tag = if provider == Provider::Hub && !base.contains(['@', ':']) {
            mark(':', text("tag"))
        } else {
            String::new()
        };
        let keys = [
            format!("{base}{tag}{flavor}"),
            format!("{base}{flavor}"),
            format!("{base}{revision}{flavor}"),
            base.to_owned(),
        ];
        for key in keys {
            self.0.entry(key).or_insert(provider);
        }
    }
}

fn mark(mark: char, text: &str) -> String {
    if text.is_empty() { String::new() } else { format!("{mark}{text}") }
}

/// `a/b:tag#flavor` without `:tag`.
fn without_tag(reference: &str) -> Option<String> {
    let (rest, flavor) = reference.split_once('#').unwrap_or((reference, ""));
    let segment = rest.rfind('/').map_or(0, |at| at + 1);
    let colon = segment + rest.get(segment..)?.find(':')?;
    Some(format!("{}{}", rest.get(..colon)?, mark('#', flavor)))
}
