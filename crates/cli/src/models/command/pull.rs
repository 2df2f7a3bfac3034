//! `models pull`: refs that somebody typed, brought to this disk.

use futures::{StreamExt as _, stream};
use gen_worker_core::{ModelSource as _, StoreModels, binding::Provider, with_tries};
use gen_worker_hub::{HubRef, ModelRef, model_ref::split_prefix};
use gen_worker_store::ModelRequest;
use serde_json::json;

use super::{args::PullArgs, progress::Shown};
use crate::{
    console::{note, print_line},
    exit::{Exit, Failure, Outcome, chain},
};

/// The tag that wire refs leave out (rule 2.2).
const ELIDED_TAG: &str = "prod";

/// What one of the refs means.
pub(super) struct Wish {
    /// How the model is called in the store: as a binding of it would be on the wire.
    reference: String,
    request: ModelRequest,
}

/// What the refs mean.
///
/// # Errors
/// A ref that is none, with exit 2.
pub(super) fn wishes(args: &PullArgs) -> Result<Vec<Wish>, Failure> {
    args.refs.iter().map(|text| wish(text, args.provider, args.flavor.as_deref(), args.offline)).collect()
}

fn wish(text: &str, provider: Option<Provider>, flavor: Option<&str>, offline: bool) -> Result<Wish, Failure> {
    let (prefixed, bare) = split_prefix(text);
    let (provider, bare) = match provider {
        // A prefix that names somebody else is a contradiction, and no ref of that provider either.
        Some(provider) if provider != prefixed => (provider, text.trim()),
        _ => (prefixed, bare),
    };
    let whole = match flavor {
        Some(flavor) if !bare.contains('#') => format!("{bare}#{flavor}"),
        _ => bare.to_owned(),
    };
    let parsed = match provider {
        // What is here can be found by the start of its digest (rule 1.6).
        Provider::Hub if offline => HubRef::parse_for_lookup(&whole).map(ModelRef::Hub),
        _ => ModelRef::parse(provider, &whole),
    };
    let reference = parsed.map_err(|error| Failure::usage(format!("{text:?} cannot be pulled: {error}")))?;
    let wire = match &reference {
        ModelRef::Hub(hub) => wire_ref(hub),
        other => other.to_string(),
    };
    Ok(Wish { reference: wire, request: ModelRequest::new(reference) })
}

/// A ref of the hub as a binding of the same model is called on the wire.
fn wire_ref(hub: &HubRef) -> String {
    let mut text = format!("{}/{}", hub.owner(), hub.repo());
    match hub.digest() {
        Some(digest) => text.push_str(&format!("@{digest}")),
        None if hub.tag() == ELIDED_TAG => {}
        None => text.push_str(&format!(":{}", hub.tag())),
    }
    hub.flavor().iter().for_each(|flavor| text.push_str(&format!("#{flavor}")));
    text
}

/// Brings all of them; what fails keeps the others from nothing.
pub(super) async fn run(models: &StoreModels, wishes: Vec<Wish>, at_once: usize, shown: &Shown, json: bool) -> Outcome {
    let at_once = if at_once == 0 { wishes.len() } else { at_once }.max(1);
    let pulls = wishes.iter().map(|wish| pull(models, wish, shown, json));
    let failures: usize =
        stream::iter(pulls).buffer_unordered(at_once).map(usize::from).fold(0, async |sum, one| sum + one).await;
    match failures {
        0 => Ok(Exit::Success),
        failed => Err(Failure::model(format!("{failed} of {} models are not here", wishes.len()))),
    }
}

/// Whether it failed.
async fn pull(models: &StoreModels, wish: &Wish, shown: &Shown, json: bool) -> bool {
    let provider = wish.request.reference().provider().as_str();
    let line = shown.fetch(&wish.reference, provider);
    let pulled =
        with_tries(models.tries(), &wish.reference, || models.pull(&wish.reference, &wish.request, &*line.progress))
            .await;
    match pulled {
        Ok(model) => {
            line.done(model.dir());
            let said = match json {
                true => {
                    json!({"kind": "models.pulled", "ref": wish.reference, "provider": provider, "local": model.dir()})
                        .to_string()
                }
                false => format!("{}\t{}", wish.reference, model.dir().display()),
            };
            // Nobody reads: then nobody needs to know.
            shown.aside(|| drop(print_line(&said)));
            false
        }
        Err(error) => {
            line.failed();
            let cause = chain(&error);
            shown.aside(|| match json {
                true => drop(print_line(
                    &json!({"kind": "models.failed", "ref": wish.reference, "provider": provider, "error": cause})
                        .to_string(),
                )),
                false => note(&format!("gen-worker models: {}: {cause}", wish.reference)),
            });
            true
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(text: &str, provider: Option<Provider>, flavor: Option<&str>) -> (String, String) {
        let wish = wish(text, provider, flavor, false).unwrap();
        (wish.request.reference().provider().to_string(), wish.reference)
    }

    #[test]
    fn m1_10_prefixes_name_the_provider_and_do_not_reach_the_store() {
        let hub = |wire: &str| ("tensorhub".to_owned(), wire.to_owned());
        let of = |provider: &str, wire: &str| (provider.to_owned(), wire.to_owned());
        for prefix in ["", "hub:", "cozy:", "tensorhub:"] {
            assert_eq!(named(&format!("{prefix}o/r"), None, None), hub("o/r:latest"));
        }
        assert_eq!(named("hf:o/r@main", None, None), of("hf", "o/r@main"));
        assert_eq!(named("hf:hf:o/r", None, None), of("hf", "o/r"));
        assert_eq!(named("civitai:123", None, None), of("civitai", "123"));
        assert_eq!(named("modelscope:o/r", None, None), of("modelscope", "o/r"));
        assert_eq!(named("o/r", Some(Provider::HuggingFace), Some("fp16")), of("hf", "o/r#fp16"));
        assert_eq!(named("hf:o/r", Some(Provider::HuggingFace), None), of("hf", "o/r"));
    }

    #[test]
    fn m2_2_a_pulled_ref_is_called_as_a_binding_of_it() {
        let binding = gen_worker_core::binding::hub("o/r").flavor("fp8").build().unwrap();
        assert_eq!(named("o/r:prod#FP8", None, None).1, binding.wire_ref());
        let binding = gen_worker_core::binding::hub("o/r").tag("v2").build().unwrap();
        assert_eq!(named("o/r:v2", None, None).1, binding.wire_ref());
        let digest = "0123456789abcdef".repeat(4);
        assert_eq!(named(&format!("o/r:v2@blake3:{digest}"), None, None).1, format!("o/r@blake3:{digest}"));
        assert_eq!(named("o/r#a", None, Some("b")).1, "o/r:latest#a", "what stands in the ref counts");
    }

    #[test]
    fn c5_a_ref_that_is_none_is_exit_2_and_named() {
        for (text, provider) in [
            ("repo-only", None),
            ("o/r#a#b", None),
            ("o/r@blake3:dead", None),
            ("hf:o/r", Some(Provider::Hub)),
            ("", None),
        ] {
            let failure = wish(text, provider, None, false).err().unwrap();
            assert!(
                failure.exit().code() == 2 && failure.message().contains(&format!("{text:?}")),
                "{}",
                failure.message()
            );
        }
    }
}
