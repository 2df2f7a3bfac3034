use std::collections::BTreeSet;

use super::*;

#[test]
fn reference_page_is_current() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/env.md");
    let page = std::fs::read_to_string(path).unwrap_or_default();
    assert!(
        page == reference(),
        "docs/env.md is not current: cargo run -p gen-worker-cli --example env_reference > docs/env.md"
    );
}

#[test]
fn names_are_unique() {
    let mut seen = BTreeSet::new();
    for name in variables().flat_map(Variable::names) {
        assert!(seen.insert(name), "{name} stands twice");
    }
}

#[test]
fn modern_name_wins_and_empty_is_unset() {
    let both = Environment::of_pairs(&[("ORCHESTRATOR_URL", "old:1"), ("ORCHESTRATOR_PUBLIC_ADDR", "new:1")]);
    assert_eq!(both.text(&names::ORCHESTRATOR_PUBLIC_ADDR).unwrap(), Some("new:1"));
    let old = Environment::of_pairs(&[("ORCHESTRATOR_URL", " old:1 ")]);
    assert_eq!(old.text(&names::ORCHESTRATOR_PUBLIC_ADDR).unwrap(), Some("old:1"));
    let empty = Environment::of_pairs(&[("ORCHESTRATOR_PUBLIC_ADDR", ""), ("ORCHESTRATOR_URL", "old:1")]);
    assert_eq!(empty.text(&names::ORCHESTRATOR_PUBLIC_ADDR).unwrap(), Some("old:1"));
}

#[test]
fn bad_values_name_the_variable_only() {
    let env = Environment::of_pairs(&[("RECONNECT_DELAY", "secret"), ("WORKER_MAX_CONCURRENCY", "-1")]);
    let error = env.seconds(&names::RECONNECT_DELAY).unwrap_err();
    assert!(error.message().contains("RECONNECT_DELAY") && !error.message().contains("secret"));
    assert!(env.parsed::<usize>(&names::WORKER_MAX_CONCURRENCY, "a number").is_err());
    let env = Environment::of_pairs(&[("RECONNECT_DELAY", "-1")]);
    assert!(env.seconds(&names::RECONNECT_DELAY).is_err());
}

#[test]
fn switches_read_as_the_peer_does() {
    for (text, on) in [("1", true), ("TRUE", true), ("yes", true), ("0", false), ("off", false), ("", false)] {
        let env = Environment::of_pairs(&[("USE_TLS", text)]);
        assert_eq!(env.switch(&names::USE_TLS).unwrap(), on, "{text:?}");
    }
}

/// Section 14 of the wire contract: every name in it.
const CONTRACT: &str = "ORCHESTRATOR_PUBLIC_ADDR SCHEDULER_PUBLIC_ADDR ORCHESTRATOR_URL SCHEDULER_ADDR SCHEDULER_ADDRS \
    WORKER_JWT AUTH_TOKEN SCHEDULER_JWKS_URL SCHEDULER_JWKS_TTL_SECONDS SCHEDULER_JWT_ISSUER SCHEDULER_JWT_AUDIENCE \
    USE_TLS GRPC_CA_BUNDLE WORKER_ID WORKER_DISCONNECTED_TIMEOUT_S WORKER_MAX_CONCURRENCY WORKER_MAX_INPUT_BYTES \
    WORKER_MAX_OUTPUT_BYTES WORKER_MAX_UPLOAD_BYTES WORKER_MAX_INPUT_FILE_BYTES WORKER_MAX_OUTPUT_FILE_BYTES \
    WORKER_MAX_VRAM_GB WORKER_VRAM_SAFETY_MARGIN_GB WORKER_MAX_CONCURRENT_DOWNLOADS WORKER_DOWNLOAD_RETRIES \
    WORKER_DRAIN_TIMEOUT_SECONDS RECONNECT_DELAY RECONNECT_MAX_DELAY MAX_RECONNECT_ATTEMPTS WORKER_MODEL_CACHE_DIR \
    TENSORHUB_CACHE_DIR TENSORHUB_CAS_DIR TENSORHUB_URL TENSORHUB_TOKEN TENSORHUB_PUBLIC_URL COZY_HUB_URL \
    COZY_HUB_TOKEN WORKER_ALLOW_COZY_HUB_API_RESOLVE MODEL_MANAGER_CLASS HF_TOKEN HUGGING_FACE_HUB_TOKEN HF_HOME \
    CIVITAI_API_KEY CIVITAI_TOKEN COZY_HF_DOWNLOAD_STALL_TIMEOUT_S COZY_HF_DOWNLOAD_MAX_SECONDS COZY_HF_MAX_REPO_BYTES \
    COZY_HF_COMPONENTS COZY_HF_INCLUDE_OPTIONAL_COMPONENTS COZY_HF_WEIGHT_PRECISIONS COZY_HF_ALLOW_ROOT_JSON \
    COZY_HF_FULL_REPO_DOWNLOAD COZY_HTTP_CONNECT_TIMEOUT_S COZY_HTTP_READ_TIMEOUT_S ENDPOINT_LOCK_PATH WORKER_MODE \
    TRAINER_JOB_SPEC_PATH WORKER_IMAGE_DIGEST WORKER_GIT_COMMIT RUNPOD_POD_ID GEN_WORKER_ATTACHED_LORA_MAX \
    GEN_WORKER_ATTACHED_LORA_MAX_BYTES GEN_WORKER_COMPILE_CACHE GEN_WORKER_COMPILE_CACHE_URL \
    GEN_WORKER_COMPILE_ALLOW_COLD GEN_WORKER_EMERGENCY_QUANT GEN_WORKER_FORBID_CPU_OFFLOAD";

#[test]
fn every_variable_of_the_contract_is_known() {
    let known: BTreeSet<&str> = variables().flat_map(Variable::names).collect();
    let missing: Vec<&str> = CONTRACT.split_whitespace().filter(|name| !known.contains(name)).collect();
    assert!(missing.is_empty(), "{missing:?}");
}

#[test]
fn variables_without_effect_are_told_by_reason() {
    assert!(
        Environment::of_pairs(&[("WORKER_ID", "w"), ("HF_TOKEN", "secret"), ("GEN_WORKER_COMPILE_CACHE", "")])
            .ignored()
            .is_empty()
    );
    let env = Environment::of_pairs(&[
        ("GEN_WORKER_COMPILE_CACHE", "/kernels"),
        ("MODEL_MANAGER_CLASS", "a:B"),
        ("GEN_WORKER_COMPILE_ALLOW_COLD", "1"),
    ]);
    let told = env.ignored();
    assert_eq!(told.len(), 2);
    let kernels = ["GEN_WORKER_COMPILE_CACHE", "GEN_WORKER_COMPILE_ALLOW_COLD"];
    assert!(told.iter().any(|(reason, names)| reason.contains("Python engines") && names == &kernels));
    assert!(told.iter().any(|(_, names)| names == &["MODEL_MANAGER_CLASS"]));
}

#[test]
fn fields_of_the_peer_are_told_apart() {
    let mut seen = BTreeSet::new();
    for variable in variables() {
        let lower = variable.names().map(str::to_ascii_lowercase);
        for name in lower.chain(variable.fields.iter().map(ToString::to_string)) {
            assert!(seen.insert(name.clone()), "{name} stands twice");
        }
    }
}
