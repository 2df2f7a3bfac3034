//! Providers in front of refs, as the command line and old manifests write them, and as keys of a process have them.

use crate::binding::Provider;

/// Words in front of a colon, and who they mean.
const PREFIXES: [(&str, Provider); 6] = [
    ("hf", Provider::HuggingFace),
    ("civitai", Provider::Civitai),
    ("modelscope", Provider::ModelScope),
    ("hub", Provider::Hub),
    ("cozy", Provider::Hub),
    ("tensorhub", Provider::Hub),
];

/// Takes the provider off the front of `text`: `hf:owner/repo` is a ref of Hugging Face. The same prefix twice is read as
/// once, as old manifests have it. A text without a prefix is a ref of the hub.
#[must_use]
pub fn split_prefix(text: &str) -> (Provider, &str) {
    let text = text.trim();
    for (word, provider) in PREFIXES {
        if let Some(mut rest) = strip_word(text, word) {
            while let Some(again) = strip_word(rest, word) {
                rest = again;
            }
            return (provider, rest);
        }
    }
    (Provider::Hub, text)
}

fn strip_word<'a>(text: &'a str, word: &str) -> Option<&'a str> {
    Some(text.strip_prefix(word)?.strip_prefix(':')?.trim_start())
}

/// The key that a process keeps a model under: `base`, `:tag` unless that is `prod`, `#flavor`, and the provider in front
/// unless that is the hub. Empty parts are left out.
#[must_use]
pub fn process_key(provider: Provider, base: &str, tag: &str, flavor: &str) -> String {
    let mut key = String::new();
    if provider != Provider::Hub {
        key.push_str(provider.as_str());
        key.push(':');
    }
    key.push_str(base);
    if !matches!(tag, "" | "prod") {
        key.push(':');
        key.push_str(tag);
    }
    if !flavor.is_empty() {
        key.push('#');
        key.push_str(flavor);
    }
    key
}
