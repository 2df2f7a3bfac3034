use proptest::prelude::*;

use super::*;
use crate::binding::{civitai, hf, hub, modelscope};

const H64: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

fn hub_ref(text: &str) -> HubRef {
    HubRef::parse(text).unwrap_or_else(|error| panic!("{text:?}: {error}"))
}

/// The table of 1b: ref, owner, repo, tag, digest, flavor.
#[test]
fn m1b_conformance_vectors() {
    let (blake, sha) = (format!("blake3:{H64}"), format!("sha256:{H64}"));
    let (blake, sha) = (blake.as_str(), sha.as_str());
    let inductor = "inductor-rtx-4090-torch2.9";
    let trt = "trt-rtx-4090-trt10.16-fp16";
    let cases = [
        ("owner/repo", "owner", "repo", "latest", "", ""),
        ("owner/repo:v2.1", "owner", "repo", "v2.1", "", ""),
        ("owner/repo:", "owner", "repo", "latest", "", ""),
        ("owner/repo#fp8", "owner", "repo", "latest", "", "fp8"),
        ("owner/repo:stable#fp8", "owner", "repo", "stable", "", "fp8"),
        ("owner/repo#BF16", "owner", "repo", "latest", "", "bf16"),
        (&format!("_system/family-sdxl:cells#{inductor}"), "_system", "family-sdxl", "cells", "", inductor),
        (&format!("_system/family-sdxl:cells#{trt}"), "_system", "family-sdxl", "cells", "", trt),
        (&format!("owner/repo@{blake}"), "owner", "repo", "latest", blake, ""),
        (&format!("owner/repo:prod@{sha}"), "owner", "repo", "prod", sha, ""),
        (&format!("owner/repo:prod@{blake}#fp8"), "owner", "repo", "prod", blake, "fp8"),
        ("Black-Forest-Labs/FLUX.2-Klein-9B#fp8", "Black-Forest-Labs", "FLUX.2-Klein-9B", "latest", "", "fp8"),
        ("owner/repo#fp8?src=lockfile", "owner", "repo", "latest", "", "fp8"),
    ];
    for (text, owner, repo, tag, digest, flavor) in cases {
        let found = hub_ref(text);
        assert_eq!((found.owner(), found.repo(), found.tag()), (owner, repo, tag), "{text}");
        assert_eq!(found.digest().map(ToString::to_string).unwrap_or_default(), digest, "{text}");
        assert_eq!(found.flavor().map_or("", |flavor| flavor.as_str()), flavor, "{text}");
    }
    for (text, error) in [
        ("owner/repo#a#b", RefError::Flavor),
        ("owner/repo#", RefError::Flavor),
        ("owner/repo#-fp8", RefError::Flavor),
        ("owner/repo@main", RefError::Digest),
        ("owner/repo@sha256:", RefError::Digest),
        ("owner/repo@blake3:", RefError::Digest),
        ("repo-only", RefError::NoOwner),
        ("owner/", RefError::NoOwner),
        ("/repo", RefError::NoOwner),
        ("", RefError::Empty),
    ] {
        assert_eq!(HubRef::parse(text), Err(error), "{text}");
    }
}

#[test]
fn m1_the_provider_is_beside_the_ref() {
    for provider in [Provider::Hub, Provider::HuggingFace, Provider::Civitai, Provider::ModelScope] {
        assert_eq!(provider.as_str().parse(), Ok(provider));
        assert_eq!(ModelRef::parse(provider, "  "), Err(RefError::Empty));
        assert_eq!(ModelRef::parse(provider, &"a/".repeat(600)), Err(RefError::TooLong));
        assert_eq!(ModelRef::parse(provider, " 1/2 ").unwrap().provider(), provider);
    }
    assert_eq!("".parse(), Ok(Provider::Hub));
    assert!("s3".parse::<Provider>().is_err());
}

#[test]
fn m1_1_the_flavor_is_cut_trimmed_and_lowered() {
    assert_eq!(hub_ref("o/r# Fp8 ?a#b").flavor().unwrap().as_str(), "fp8");
    assert_eq!(HubRef::parse("o/r#?a"), Err(RefError::Flavor));
    assert_eq!(HubRef::parse(&format!("o/r#{}", "a".repeat(65))), Err(RefError::Flavor));
}

#[test]
fn m1_2_the_digest_is_found_in_any_case() {
    let upper = hub_ref(&format!("o/r@SHA256:{}", H64.to_uppercase()));
    assert_eq!(upper.to_string(), format!("o/r@sha256:{H64}"));
    assert_eq!(HubRef::parse(&format!("o/r@sha256:{H64}@blake3:{H64}")), Err(RefError::Digest));
    assert_eq!(HubRef::parse(&format!("o/r@x@blake3:{H64}")), Err(RefError::Digest));
}

#[test]
fn m1_3_the_tag_is_behind_the_last_colon() {
    assert_eq!(hub_ref("o/r: v1 ").tag(), "v1");
    assert_eq!(hub_ref("o/r : ").tag(), "latest");
    assert_eq!(HubRef::parse("o/r:a:b"), Err(RefError::Name));
    assert_eq!(HubRef::parse("o/r:a b"), Err(RefError::Tag));
    assert_eq!(HubRef::parse("o/r:../x"), Err(RefError::Tag));
}

#[test]
fn m1_4_case_of_names_is_kept() {
    assert_eq!(hub_ref(" Owner / Repo ").to_string(), "Owner/Repo:latest");
    assert_eq!(HubRef::parse(" / "), Err(RefError::NoOwner));
}

#[test]
fn m1_5_the_canonical_form_drops_the_tag_beside_a_digest() {
    assert_eq!(hub_ref(&format!("o/r:prod@blake3:{H64}#FP8")).to_string(), format!("o/r@blake3:{H64}#fp8"));
    assert_eq!(hub_ref("o/r#fp8").to_string(), "o/r:latest#fp8");
}

#[test]
fn m1_6_stricter_where_no_vector_speaks() {
    for (text, error) in [
        ("o/r/x", RefError::Name),
        ("o/r?x=1", RefError::Query),
        ("o?/r#fp8", RefError::Query),
        ("../r", RefError::Name),
        ("o/..", RefError::Name),
        ("ö/r", RefError::Name),
        ("o r/x", RefError::Name),
        ("o/r@sha256:zz", RefError::Digest),
        ("o/r@blake3:deadbeef", RefError::Digest),
    ] {
        assert_eq!(HubRef::parse(text), Err(error), "{text}");
    }
    let short = HubRef::parse_for_lookup("o/r@blake3:DEADBEEF").unwrap();
    let digest = short.digest().unwrap();
    assert_eq!((digest.hex(), digest.whole()), ("deadbeef", None));
    assert_eq!(HubRef::parse_for_lookup(&format!("o/r@blake3:{H64}0")), Err(RefError::Digest));
}

#[test]
fn m1_7_refs_of_hugging_face() {
    let full = RepoRef::parse_hugging_face(" o/r@refs/pr/1#Fp8 ").unwrap();
    assert_eq!((full.repo_id().as_str(), full.revision(), full.flavor()), ("o/r", Some("refs/pr/1"), Some("Fp8")));
    assert_eq!(full.to_string(), "o/r@refs/pr/1#Fp8");
    assert_eq!(RepoRef::parse_hugging_face("o/r@#").unwrap().to_string(), "o/r");
    // `#` first, then `@`.
    assert_eq!(RepoRef::parse_hugging_face("o/r#a@b").unwrap().flavor(), Some("a@b"));
    assert_ne!(RepoRef::parse_hugging_face("o/r#a"), RepoRef::parse_hugging_face("o/r#b"));
    for (text, error) in [
        ("solo", RefError::NoOwner),
        ("o/r@../x", RefError::Revision),
        ("o/r@a b", RefError::Revision),
        ("o/../r", RefError::Name),
        ("o /r", RefError::Name),
        ("o/ r", RefError::Name),
        ("o/r#a\nb", RefError::Flavor),
    ] {
        assert_eq!(RepoRef::parse_hugging_face(text), Err(error), "{text}");
    }
}

#[test]
fn m1_8_refs_of_modelscope() {
    assert_eq!(RepoRef::parse_modelscope("o/r@v1").unwrap().to_string(), "o/r@v1");
    assert_eq!(RepoRef::parse_modelscope("o/r#x"), Err(RefError::Name));
    assert_eq!(RepoRef::parse_modelscope("o/r@v#x").unwrap().revision(), Some("v#x"));
    assert_eq!(RepoRef::parse_modelscope("solo"), Err(RefError::NoOwner));
}

#[test]
fn m1_9_refs_of_civitai() {
    for text in [
        "456",
        "versions/456",
        "https://civitai.com/api/v1/model-versions/456",
        "https://civitai.com/models/1/name?modelVersionId=456",
        "https://civitai.com/models/1?type=x&model_version_id=456#top",
        "?version_id=456",
    ] {
        let found = CivitaiRef::parse(text).unwrap();
        assert_eq!((found.version_id(), found.to_string().as_str()), (Ok("456"), text));
    }
    for text in ["x", "12a", "versions/", "?modelVersionId=", "?modelVersionId=4x", "conversions/4", &"1".repeat(21)] {
        assert_eq!(CivitaiRef::parse(text).unwrap().version_id(), Err(RefError::Version), "{text}");
    }
}

#[test]
fn m1_10_prefixes_are_taken_off_at_the_edge() {
    for (text, want) in [
        ("hf:o/r@x", (Provider::HuggingFace, "o/r@x")),
        ("hf:hf: o/r", (Provider::HuggingFace, "o/r")),
        ("civitai:456", (Provider::Civitai, "456")),
        ("modelscope:o/r", (Provider::ModelScope, "o/r")),
        (" cozy:o/r:v1", (Provider::Hub, "o/r:v1")),
        ("hub:o/r", (Provider::Hub, "o/r")),
        ("tensorhub:o/r", (Provider::Hub, "o/r")),
        ("o/r:hf", (Provider::Hub, "o/r:hf")),
        ("hfx:o/r", (Provider::Hub, "hfx:o/r")),
    ] {
        assert_eq!(split_prefix(text), want, "{text}");
    }
}

#[test]
fn m1_11_keys_of_a_process() {
    assert_eq!(process_key(Provider::Hub, "o/r", "prod", ""), "o/r");
    assert_eq!(process_key(Provider::Hub, "o/r", "v1", "fp8"), "o/r:v1#fp8");
    assert_eq!(process_key(Provider::HuggingFace, "o/r", "", "fp8"), "hf:o/r#fp8");
}

#[test]
fn h1_8_names_of_repositories_have_no_case() {
    let name: RepoName = "Black-Forest-Labs/FLUX.2".parse().unwrap();
    assert_eq!(name.to_lowercase().to_string(), "black-forest-labs/flux.2");
    for (text, error) in [("", RefError::Empty), ("solo", RefError::NoOwner), ("a/..", RefError::Name)] {
        assert_eq!(text.parse::<RepoName>(), Err(error));
    }
}

#[test]
fn m2_3_the_tag_of_a_binding_reaches_the_hub() {
    let meant = |builder: crate::binding::BindingBuilder| HubRef::of_binding(&builder.build().unwrap());
    assert_eq!(meant(hub("o/r")).unwrap().to_string(), "o/r:prod");
    assert_eq!(meant(hub("o/r").tag("v1").flavor("fp8")).unwrap().to_string(), "o/r:v1#fp8");
    assert_eq!(meant(hub("o/r:v2")).unwrap().tag(), "v2");
    assert_eq!(meant(hf("o/r")), Err(RefError::NoOwner));
    assert_eq!(meant(civitai(1)), Err(RefError::NoOwner));
}

#[test]
fn m2_4_versions_and_revisions_of_bindings_are_kept() {
    let meant = |builder: crate::binding::BindingBuilder| {
        let reference = ModelRef::of_binding(&builder.build().unwrap()).unwrap();
        (reference.provider(), reference.to_string())
    };
    assert_eq!(meant(civitai(1).version(456)), (Provider::Civitai, "456".to_owned()));
    assert_eq!(meant(civitai("versions/7")), (Provider::Civitai, "versions/7".to_owned()));
    assert_eq!(meant(modelscope("o/r").revision("v1")), (Provider::ModelScope, "o/r@v1".to_owned()));
    assert_eq!(meant(hf("o/r").revision("main").files(["x"])), (Provider::HuggingFace, "o/r@main".to_owned()));
    assert_eq!(meant(hub("o/r")), (Provider::Hub, "o/r:prod".to_owned()));
}

#[test]
fn m2_6_the_manifest_names_providers() {
    let models = serde_json::json!({
        "a": {"provider": "tensorhub", "ref": "o/hub", "tag": "v1", "flavor": "fp8"},
        "b": {"provider": "hf", "ref": "o/hf", "revision": "r1"},
        "c": {"provider": "civitai", "ref": "o/hub"},
        "d": {"kind": "dispatch", "dispatch": {"x": {"provider": "modelscope", "ref": "o/ms"}, "y": 3}},
        "e": {"provider": "nobody", "ref": "o/x"},
        "f": null,
    });
    let index = ProviderIndex::of_models(&models);
    let of = |reference| index.provider_of(reference, Provider::Civitai);
    for reference in ["o/hub:v1#fp8", "o/hub#fp8", "o/hub"] {
        assert_eq!(of(reference), Provider::Hub, "{reference}");
    }
    assert_eq!((of("o/ms"), of("o/x"), of("o/none")), (Provider::ModelScope, Provider::Civitai, Provider::Civitai));
    assert_eq!((of("o/hf"), of("o/hf@r1")), (Provider::HuggingFace, Provider::HuggingFace));
    assert_eq!(ProviderIndex::of_models(&serde_json::json!([1])), ProviderIndex::default());
}

#[test]
fn m2_7_lookup_without_blanks_and_without_the_tag() {
    let index = ProviderIndex::of_models(&serde_json::json!({"a": {"provider": "hf", "ref": "o/r", "flavor": "bf16"}}));
    for reference in ["o/r#bf16", " o/r ", "o/r:latest#bf16", "o/r:x"] {
        assert_eq!(index.provider_of(reference, Provider::Hub), Provider::HuggingFace, "{reference}");
    }
    assert_eq!(index.provider_of("o/r:latest#fp8", Provider::Hub), Provider::Hub);
}

proptest! {
    #[test]
    fn m1_5_canonical_forms_are_stable(
        owner in "[A-Za-z0-9_-][A-Za-z0-9._-]{0,10}",
        repo in "[A-Za-z0-9_-][A-Za-z0-9._-]{0,10}",
        tag in proptest::option::of("[a-z0-9][a-z0-9._-]{0,10}"),
        digest in proptest::option::of("(sha256|BLAKE3):[0-9a-fA-F]{64}"),
        flavor in proptest::option::of("[A-Za-z0-9][A-Za-z0-9._-]{0,10}"),
    ) {
        let part = |mark: char, text: &Option<String>| text.as_ref().map(|text| format!("{mark}{text}")).unwrap_or_default();
        let text = format!("{owner}/{repo}{}{}{}", part(':', &tag), part('@', &digest), part('#', &flavor));
        let found = HubRef::parse(&text).unwrap();
        let canonical = found.to_string();
        let again = HubRef::parse(&canonical).unwrap();
        prop_assert_eq!(again.to_string(), canonical);
        prop_assert_eq!((again.owner(), again.repo(), again.digest(), again.flavor()), (found.owner(), found.repo(), found.digest(), found.flavor()));
        prop_assert_eq!(found.tag(), tag.as_deref().unwrap_or("latest"));
    }

    #[test]
    fn any_text_is_a_ref_or_an_error(text in "[a-z/:@#? .\\\\é]{0,24}|\\PC{0,40}") {
        for provider in [Provider::Hub, Provider::HuggingFace, Provider::Civitai, Provider::ModelScope] {
            if let Ok(found) = ModelRef::parse(provider, &text) {
                prop_assert_eq!(ModelRef::parse(provider, &found.to_string()).unwrap().to_string(), found.to_string());
            }
        }
    }
}
