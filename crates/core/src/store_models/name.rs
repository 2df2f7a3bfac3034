//! How a model is called: on the wire by its ref alone, in the store by a key that says whose it is as well. A repository of the hub and
//! one of another provider may have one ref, and what tells versions apart is not always in it (rules 1.11, 2.2, 2.4). Values.

use gen_worker_hub::{ModelRef, binding::Provider, model_ref::process_key};
use gen_worker_store::ModelRequest;

use crate::binding::Binding;

/// All providers but the hub, whose refs are their keys.
const OTHERS: [Provider; 3] = [Provider::HuggingFace, Provider::Civitai, Provider::ModelScope];

/// Where keys have the models of Civitai of which the newest version is wanted: other ids are those of versions.
const NEWEST: &str = "models/";

/// A model under both of its names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Name {
    /// Its wire ref: for messages, and for people.
    pub(super) wire: String,
    /// What the store notes it under.
    pub(super) key: String,
}

impl Name {
    /// Of what is asked for with `request`, and called `wire` on the wire.
    pub(super) fn of(wire: &str, request: &ModelRequest) -> Self {
        let reference = request.reference();
        let key = match reference {
            ModelRef::Hub(_) => wire.to_owned(),
            _ => {
                let newest = if request.is_newest() { NEWEST } else { "" };
                process_key(reference.provider(), &format!("{newest}{reference}"), "", "")
            }
        };
        Self { wire: wire.to_owned(), key }
    }

    /// Of what an author declared. One whose ref is none is called by it.
    pub(super) fn of_binding(binding: &Binding) -> Self {
        let wire = binding.wire_ref();
        match ModelRequest::of_binding(binding) {
            Ok(request) => Self::of(&wire, &request),
            Err(_) => Self { key: wire.clone(), wire },
        }
    }
}

/// The wire ref of `key`, as far as a key tells.
pub(super) fn wire_of(key: &str) -> &str {
    let bare = OTHERS.iter().find_map(|provider| key.strip_prefix(provider.as_str())?.strip_prefix(':'));
    bare.map_or(key, |bare| bare.strip_prefix(NEWEST).unwrap_or(bare))
}

/// The keys that a model of this wire ref may have, as far as a ref tells.
pub(super) fn keys_of(wire: &str) -> impl Iterator<Item = String> {
    let others = OTHERS.iter().map(move |provider| process_key(*provider, wire, "", ""));
    others.chain([wire.to_owned(), process_key(Provider::Civitai, &format!("{NEWEST}{wire}"), "", "")])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::binding::{BindingBuilder, civitai, hf, hub, modelscope};

    fn key(builder: BindingBuilder) -> String {
        Name::of_binding(&builder.build().expect("a binding")).key
    }

    #[test]
    fn m1_11_m2_4_no_two_models_have_one_key() {
        assert_eq!(key(hub("o/r").tag("v1").flavor("fp8")), "o/r:v1#fp8");
        assert_eq!(key(hf("o/r")), "hf:o/r");
        assert_eq!(key(hf("o/r").revision("main")), "hf:o/r@main");
        assert_eq!(key(modelscope("o/r").revision("v2")), "modelscope:o/r@v2");
        assert_eq!(
            [key(civitai(7)), key(civitai(7).version(1)), key(civitai(7).version(7))],
            ["civitai:models/7", "civitai:1", "civitai:7"]
        );
    }

    #[test]
    fn m8_8_what_the_orchestrator_calls_a_model_is_found_under_all_its_keys() {
        for (key, wire) in
            [("o/r:v1", "o/r:v1"), ("hf:o/r@main", "o/r@main"), ("civitai:models/7", "7"), ("civitai:7", "7")]
        {
            assert_eq!(wire_of(key), wire);
            assert!(keys_of(wire).any(|one| one == key), "{key}");
        }
    }
}
