use std::path::Path;

use super::*;

/// The options of a store in `/cas` with these variables.
fn store(pairs: &[(&str, &str)]) -> StoreOptions {
    let mut store = StoreOptions::new("/cas");
    ProviderSettings::of(&Environment::of_pairs(pairs)).unwrap().apply(&mut store).unwrap();
    store
}

fn hugging_face(pairs: &[(&str, &str)]) -> HuggingFaceOptions {
    store(pairs).providers.hugging_face
}

/// What is said of these variables, which cannot be.
fn refusal(pairs: &[(&str, &str)]) -> String {
    let settings = ProviderSettings::of(&Environment::of_pairs(pairs));
    let failure = settings.and_then(|settings| settings.apply(&mut StoreOptions::new("/cas"))).unwrap_err();
    assert_eq!(failure.exit().code(), 2);
    failure.message().to_owned()
}

fn selection(pairs: &[(&str, &str)]) -> LegacySelection {
    hugging_face(pairs).legacy.unwrap()
}

#[test]
fn m4_8_each_of_the_five_old_variables_switches_the_old_rules_on_and_no_other_does() {
    let others = [("COZY_HF_MAX_REPO_BYTES", "5"), ("COZY_HF_DOWNLOAD_MAX_SECONDS", "5"), ("HF_TOKEN", "hush")];
    assert_eq!(hugging_face(&others).legacy, None);
    // What they say may be what holds anyway.
    for (name, value) in [
        ("COZY_HF_COMPONENTS", "auto"),
        ("COZY_HF_INCLUDE_OPTIONAL_COMPONENTS", "0"),
        ("COZY_HF_WEIGHT_PRECISIONS", "fp16,bf16"),
        ("COZY_HF_ALLOW_ROOT_JSON", "0"),
        ("COZY_HF_FULL_REPO_DOWNLOAD", "0"),
    ] {
        assert_eq!(selection(&[(name, value)]), LegacySelection::default(), "{name}");
        assert_eq!(hugging_face(&[(name, "")]).legacy, None, "{name}");
    }
}

#[test]
fn m4_8_components_are_a_list_and_optional_ones_a_switch() {
    assert_eq!(selection(&[("COZY_HF_COMPONENTS", "unet, vae/sub,")]).components, ["unet", "vae/sub"]);
    assert!(selection(&[("COZY_HF_COMPONENTS", " Auto ")]).components.is_empty());
    for wrong in [",", "unet/", "/unet", "../unet", "unet,,a//b"] {
        let said = refusal(&[("COZY_HF_COMPONENTS", wrong)]);
        assert!(said.contains("COZY_HF_COMPONENTS") && said.contains("unet,vae"), "{wrong}: {said}");
    }
    for (text, on) in [("1", true), ("T", true), ("y", true), ("Yes", true), ("true", true), ("on", false)] {
        let selection = selection(&[("COZY_HF_INCLUDE_OPTIONAL_COMPONENTS", text)]);
        assert_eq!(selection, LegacySelection { optional_components: on, ..LegacySelection::default() }, "{text}");
    }
}

#[test]
fn m4_9_more_json_of_the_root_is_a_switch() {
    let selection = selection(&[("COZY_HF_ALLOW_ROOT_JSON", "yes")]);
    assert_eq!(selection, LegacySelection { root_json: true, ..LegacySelection::default() });
}

#[test]
fn m4_12_precisions_are_a_list_of_known_words() {
    assert_eq!(selection(&[("COZY_HF_WEIGHT_PRECISIONS", "FP32, bf16")]).precisions, ["fp32", "bf16"]);
    for wrong in ["fp17", "fp16,f16", ",", "fp16 bf16"] {
        let said = refusal(&[("COZY_HF_WEIGHT_PRECISIONS", wrong)]);
        assert!(said.contains("COZY_HF_WEIGHT_PRECISIONS") && said.contains("fp16, bf16, fp8, fp32"), "{said}");
    }
}

#[test]
fn m4_14_the_whole_repository_is_a_switch() {
    let selection = selection(&[("COZY_HF_FULL_REPO_DOWNLOAD", "t")]);
    assert_eq!(selection, LegacySelection { full_repo: true, ..LegacySelection::default() });
}

#[test]
fn m4_7_the_limit_of_bytes_is_for_both_selections() {
    let limits = |value: &str| {
        let options = hugging_face(&[("COZY_HF_MAX_REPO_BYTES", value)]);
        (options.repo_bytes_max, options.legacy_bytes_max)
    };
    assert_eq!((limits("5"), limits("0"), limits("-7")), ((Some(5), Some(5)), (None, None), (None, None)));
    let default = (Some(60_000_000_000), Some(30_000_000_000));
    assert_eq!((limits(""), limits("60 GB")), (default, default));
}

#[test]
fn m4_16_times_are_of_hugging_face_alone_and_what_is_no_number_changes_nothing() {
    let seconds = Duration::from_secs;
    let times = |stall: &str, most: &str| {
        let pairs = [("COZY_HF_DOWNLOAD_STALL_TIMEOUT_S", stall), ("COZY_HF_DOWNLOAD_MAX_SECONDS", most)];
        let store = store(&pairs);
        assert_eq!(store.transfer.stall, seconds(180), "the hub has its own");
        (store.providers.hugging_face.stall, store.providers.hugging_face.download_max)
    };
    assert_eq!(times("", ""), (None, None));
    assert_eq!(times("20", "3600.5"), (Some(seconds(20)), Some(Duration::from_millis(3_600_500))));
    assert_eq!(times("soon", "later"), (Some(seconds(180)), None));
    let never = times("0", "0");
    assert!(never == times("-1", "-1") && never.1.is_none() && never.0 > Some(seconds(1_000_000)), "{never:?}");
}

#[test]
fn m4_15_the_address_and_the_cache_of_hugging_face_are_what_is_said() {
    let said = hugging_face(&[("HF_ENDPOINT", "http://127.0.0.1:1/mirror/"), ("HF_HOME", "/shared")]);
    assert_eq!((said.endpoint.as_str(), said.home.as_path()), ("http://127.0.0.1:1/mirror/", Path::new("/shared")));
    let own = hugging_face(&[]);
    let expected = ("https://huggingface.co", Path::new("/cas/huggingface"));
    assert_eq!((own.endpoint.as_str(), own.home.as_path()), expected);
    for wrong in ["huggingface.co", "ftp://h", "http://user:hush@h", "https://h?hush"] {
        let said = refusal(&[("HF_ENDPOINT", wrong)]);
        assert!(said.contains("HF_ENDPOINT") && !said.contains("hush"), "{wrong}: {said}");
    }
}

#[test]
fn m5_2_credentials_are_those_of_their_providers() {
    let store = store(&[("HUGGINGFACE_TOKEN", "one"), ("CIVITAI_TOKEN", "two")]);
    let token = store.providers.hugging_face.token.as_ref().map(BearerToken::reveal);
    assert_eq!((token, store.providers.civitai.key.as_ref().map(BearerToken::reveal)), (Some("one"), Some("two")));
    for name in ["HF_TOKEN", "CIVITAI_API_KEY"] {
        let said = refusal(&[(name, "hush hush")]);
        assert!(said.contains(name) && !said.contains("hush"), "{said}");
    }
}

#[test]
fn timeouts_of_http_are_raised_and_never_lowered() {
    let limits = |pairs: &[(&str, &str)]| {
        let store = store(pairs);
        let limits = [store.transfer.connect, store.transfer.stall, store.providers.connect, store.providers.call];
        limits.map(|limit| limit.as_secs())
    };
    let raised = [("COZY_HTTP_CONNECT_TIMEOUT_S", "90"), ("COZY_HTTP_READ_TIMEOUT_S", "150")];
    assert_eq!(limits(&[]), [60, 180, 30, 120]);
    assert_eq!(limits(&raised), [90, 180, 90, 150]);
    assert_eq!(limits(&[("COZY_HTTP_CONNECT_TIMEOUT_S", "1"), ("COZY_HTTP_READ_TIMEOUT_S", "1")]), limits(&[]));
}
