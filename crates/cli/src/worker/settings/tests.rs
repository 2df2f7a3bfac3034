use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};

use gen_worker_store::AddressRule;

use super::*;

fn built(args: &WorkerArgs, pairs: &[(&str, &str)]) -> Result<WorkerOptions, Failure> {
    options(args, &Environment::of_pairs(pairs))
}

fn of_env(pairs: &[(&str, &str)]) -> WorkerOptions {
    let mut all = vec![("ORCHESTRATOR_PUBLIC_ADDR", "localhost:9")];
    all.extend_from_slice(pairs);
    built(&WorkerArgs::default(), &all).expect("valid settings")
}

fn refused(pairs: &[(&str, &str)]) -> u8 {
    let mut all = vec![("ORCHESTRATOR_PUBLIC_ADDR", "localhost:9")];
    all.extend_from_slice(pairs);
    built(&WorkerArgs::default(), &all).expect_err("refused").exit().code()
}

fn token(claims: &str) -> String {
    format!("e30.{}.signature", URL_SAFE_NO_PAD.encode(claims))
}

#[test]
fn addresses_come_from_flags_else_from_every_name() {
    let none = built(&WorkerArgs::default(), &[]).unwrap_err();
    assert_eq!(none.exit().code(), 2);
    assert!(none.message().contains("--addr") && none.message().contains("ORCHESTRATOR_PUBLIC_ADDR"));
    for name in ["ORCHESTRATOR_PUBLIC_ADDR", "SCHEDULER_ADDR", "SCHEDULER_PUBLIC_ADDR", "ORCHESTRATOR_URL"] {
        let options = built(&WorkerArgs::default(), &[(name, "grpc://h:1"), ("SCHEDULER_ADDRS", "a:1, b:2,")]).unwrap();
        assert_eq!((options.address.host(), options.address.port(), options.address.tls()), ("h", 1, false));
        assert_eq!(options.seeds.len(), 2, "{name}");
    }
    let args = WorkerArgs { addresses: vec!["x:1".into(), "y:2".into()], ..WorkerArgs::default() };
    let options = built(&args, &[("ORCHESTRATOR_PUBLIC_ADDR", "h:1")]).unwrap();
    assert_eq!((options.address.host(), options.seeds.len()), ("x", 1));
    assert_eq!(refused(&[("SCHEDULER_ADDRS", "ftp://x")]), 2);
    assert!(of_env(&[("USE_TLS", "yes")]).address.tls());
}

#[test]
fn identity_prefers_flag_then_environment_then_token() {
    let jwt = token(r#"{"sub":"from-token","release_id":"r-token"}"#);
    let options = of_env(&[("WORKER_JWT", &jwt)]);
    assert_eq!((options.worker_id.as_str(), options.release_id.as_str()), ("from-token", "r-token"));
    assert_eq!(of_env(&[("WORKER_JWT", &jwt), ("WORKER_ID", "from-env")]).worker_id, "from-env");
    let args = WorkerArgs { worker_id: Some("from-flag".into()), ..WorkerArgs::default() };
    let pairs = [("ORCHESTRATOR_PUBLIC_ADDR", "h:1"), ("WORKER_ID", "from-env")];
    assert_eq!(built(&args, &pairs).unwrap().worker_id, "from-flag");
    assert_eq!(of_env(&[]).worker_id, "", "the worker makes one out of host name and chance");
}

#[test]
fn older_token_wins() {
    assert_eq!(of_env(&[]).token, None);
    assert_eq!(of_env(&[("WORKER_JWT", "new")]).token.as_deref(), Some("new"));
    assert_eq!(of_env(&[("WORKER_JWT", "new"), ("AUTH_TOKEN", "old")]).token.as_deref(), Some("old"));
}

#[test]
fn a_check_needs_a_token_and_an_address_of_keys() {
    let check = |pairs: &[(&str, &str)]| {
        let options = of_env(pairs);
        token::check(&options, &Environment::of_pairs(pairs)).map(|check| check.is_some())
    };
    let url = ("SCHEDULER_JWKS_URL", "http://127.0.0.1:1/keys");
    assert!(!check(&[("WORKER_JWT", "t"), ("SCHEDULER_JWT_ISSUER", "i")]).unwrap(), "nothing to check with");
    assert!(check(&[("WORKER_JWT", "t"), url, ("SCHEDULER_JWKS_TTL_SECONDS", "0")]).unwrap());
    let no_token = check(&[url]).unwrap_err();
    assert!(no_token.exit().code() == 1 && no_token.message().contains("WORKER_JWT"));
    for bad in [("SCHEDULER_JWKS_URL", "ftp://keys"), ("SCHEDULER_JWKS_TTL_SECONDS", "soon")] {
        let pairs = [("WORKER_JWT", "t"), bad, url];
        assert_eq!(check(&pairs).unwrap_err().exit().code(), 2, "{bad:?}");
    }
}

#[tokio::test]
async fn a_token_that_fails_its_check_is_exit_1() {
    let pairs = [("WORKER_JWT", "top.secret.token"), ("SCHEDULER_JWKS_URL", "http://127.0.0.1:1/keys")];
    let mut options = of_env(&pairs);
    let check = token::check(&options, &Environment::of_pairs(&pairs)).unwrap().unwrap();
    let failure = token::apply(check, &mut options).await.unwrap_err();
    assert_eq!(
        (failure.exit().code(), failure.message()),
        (1, "the worker token cannot be used: it is no signed token")
    );
    assert!(options.token_check.is_none());
}

#[test]
fn there_is_one_mode() {
    for (mode, good) in [("", true), ("inference", true), ("Inference", true), ("trainer", false)] {
        let pairs = [("ORCHESTRATOR_PUBLIC_ADDR", "h:1"), ("WORKER_MODE", mode), ("TRAINER_JOB_SPEC_PATH", "/x")];
        assert_eq!(built(&WorkerArgs::default(), &pairs).is_ok(), good, "{mode}");
    }
}

#[test]
fn limits_and_times() {
    let defaults = of_env(&[("WORKER_DRAIN_TIMEOUT_SECONDS", "0")]);
    assert_eq!((defaults.limits.jobs_max, defaults.drain_budget), (0, Duration::from_secs(30)));
    assert_eq!(defaults.redial.disconnected_max, Some(Duration::from_secs(600)));
    let set = of_env(&[
        ("WORKER_MAX_CONCURRENCY", "4"),
        ("WORKER_MAX_INPUT_BYTES", "10"),
        ("WORKER_MAX_OUTPUT_BYTES", "20"),
        ("WORKER_MAX_UPLOAD_BYTES", "30"),
        ("WORKER_MAX_VRAM_GB", "10.5"),
        ("WORKER_VRAM_SAFETY_MARGIN_GB", "0"),
        ("WORKER_DRAIN_TIMEOUT_SECONDS", "1.5"),
        ("RECONNECT_DELAY", "0.5"),
        ("RECONNECT_MAX_DELAY", "5"),
        ("MAX_RECONNECT_ATTEMPTS", "3"),
        ("WORKER_DISCONNECTED_TIMEOUT_S", "0"),
    ]);
    assert_eq!((set.limits.jobs_max, set.limits.input_bytes_max, set.limits.output_bytes_max), (4, 10, 20));
    assert_eq!((set.vram.models_bytes_max, set.vram.reserve_bytes), (Some(21 << 29), 0));
    assert_eq!((defaults.vram.models_bytes_max, defaults.vram.reserve_bytes), (None, 2 << 30));
    assert_eq!((set.upload_bytes_max, defaults.upload_bytes_max), (30, 0));
    assert_eq!(set.drain_budget, Duration::from_millis(1500));
    assert_eq!((set.redial.backoff.base, set.redial.backoff.cap), (Duration::from_millis(500), Duration::from_secs(5)));
    assert_eq!((set.redial.attempts_max, set.redial.disconnected_max), (3, None));
    for (name, value) in [
        ("WORKER_MAX_CONCURRENCY", "many"),
        ("WORKER_MAX_VRAM_GB", "-1"),
        ("WORKER_MAX_VRAM_GB", "inf"),
        ("RECONNECT_DELAY", "-1"),
        ("GRPC_CA_BUNDLE", "/nope"),
    ] {
        assert_eq!(refused(&[(name, value)]), 2, "{name}");
    }
}

#[test]
fn provenance_is_reported() {
    let options =
        of_env(&[("WORKER_IMAGE_DIGEST", "sha256:1"), ("WORKER_GIT_COMMIT", "abc"), ("RUNPOD_POD_ID", "pod")]);
    let facts = options.resources;
    assert_eq!(
        (facts.image_digest.as_str(), facts.git_commit.as_str(), facts.instance_id.as_str()),
        ("sha256:1", "abc", "pod")
    );
}

#[test]
fn results_wait_where_the_flag_says_else_by_address() {
    let spool = |args: &WorkerArgs, pairs: &[(&str, &str)]| {
        let mut all = vec![("ORCHESTRATOR_PUBLIC_ADDR", "grpc://h:9"), ("XDG_STATE_HOME", "/s")];
        all.extend_from_slice(pairs);
        built(args, &all).map(|options| options.spool)
    };
    let none = WorkerArgs::default();
    assert_eq!(spool(&none, &[]).unwrap(), Some(SpoolOptions::new("/s/gen-worker/spool/h_9")));
    let set = [("GEN_WORKER_SPOOL_DIR", "/d"), ("GEN_WORKER_SPOOL", "always"), ("GEN_WORKER_SPOOL_BYTES", "7")];
    let want = SpoolOptions { dir: "/d".into(), policy: SpoolPolicy::Always, bytes_max: 7 };
    assert_eq!(spool(&none, &set).unwrap(), Some(want));
    assert_eq!(spool(&none, &[("GEN_WORKER_SPOOL", "never")]).unwrap(), None);
    assert!(spool(&none, &[("GEN_WORKER_SPOOL", "often")]).unwrap_err().message().contains("auto, always, never"));
    let args = WorkerArgs { spool_dir: Some("/f".into()), spool: Some(SpoolPolicy::Auto), ..WorkerArgs::default() };
    assert_eq!(spool(&args, &set).unwrap().map(|spool| spool.dir), Some("/f".into()));
}

#[test]
fn threads_are_bounded() {
    let of = |pairs: &[(&str, &str)]| threads(&WorkerArgs::default(), &Environment::of_pairs(pairs));
    assert_eq!(of(&[]).unwrap(), DEFAULT_THREADS);
    assert_eq!(of(&[("GEN_WORKER_THREADS", "3")]).unwrap(), 3);
    assert!(of(&[("GEN_WORKER_THREADS", "0")]).is_err() && of(&[("GEN_WORKER_THREADS", "9999")]).is_err());
}

#[test]
fn isolated_handlers_have_a_grace() {
    let grace = |options: WorkerOptions| options.slots.expect("children can be started").cancel_grace;
    assert_eq!(grace(of_env(&[])), Duration::from_secs(5));
    assert_eq!(grace(of_env(&[("GEN_WORKER_CANCEL_GRACE", "0.5")])), Duration::from_millis(500));
    let args = WorkerArgs { cancel_grace: Some(Duration::from_secs(2)), ..WorkerArgs::default() };
    let pairs = [("ORCHESTRATOR_PUBLIC_ADDR", "h:1"), ("GEN_WORKER_CANCEL_GRACE", "9")];
    assert_eq!(grace(built(&args, &pairs).expect("valid settings")), Duration::from_secs(2));
    assert_eq!(refused(&[("GEN_WORKER_CANCEL_GRACE", "-1")]), 2);
}

#[test]
fn h14_1_h14_2_files_of_payloads_are_bounded_as_the_environment_says() {
    let inputs = |pairs: &[(&str, &str)]| of_env(pairs).inputs;
    let usual = inputs(&[]);
    assert_eq!((usual.file_bytes_max, usual.fetch.addresses), (200 << 20, AddressRule::Public));
    assert_eq!(inputs(&[("WORKER_MAX_INPUT_FILE_BYTES", "7")]).file_bytes_max, 7);
    assert_eq!(inputs(&[("WORKER_MAX_INPUT_FILE_BYTES", "0")]).file_bytes_max, u64::MAX);
    assert_eq!(inputs(&[("GEN_WORKER_PRIVATE_INPUTS", "1")]).fetch.addresses, AddressRule::Any);
    assert_eq!(refused(&[("WORKER_MAX_INPUT_FILE_BYTES", "-1")]), 2);
    let storage = inputs(&[("GEN_WORKER_STORAGE", " http://10.0.0.7/a, https://b.example/ ,")]).fetch.storage;
    assert_eq!(storage, ["http://10.0.0.7/a/", "https://b.example"].map(|base| base.parse().expect("a place")));
    assert!(usual.fetch.storage.is_empty());
    let many = vec!["http://h/a"; 17].join(",");
    for bad in ["models", "http://h/a?b", &many] {
        assert_eq!(refused(&[("GEN_WORKER_STORAGE", bad)]), 2, "{bad}");
    }
    let own = of_env(&[]).scratch.expect("a place");
    assert!(own.starts_with(std::env::temp_dir()), "{}", own.display());
    assert_eq!(of_env(&[("GEN_WORKER_JOBS_DIR", "/elsewhere")]).scratch, Some("/elsewhere".into()));
}
