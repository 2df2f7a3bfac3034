use std::fs;

use tempfile::TempDir;

use super::*;
use crate::env::{Environment, Variable, names};

/// A machine of its own: a root and a working directory.
struct Machine {
    root: TempDir,
    directory: TempDir,
}

impl Machine {
    fn new() -> Self {
        let made = || tempfile::tempdir().unwrap();
        Self { root: made(), directory: made() }
    }

    /// Writes a file below the root when `path` is absolute, else in the working directory.
    fn with(self, path: &str, text: impl AsRef<[u8]>) -> Self {
        let file = match path.strip_prefix('/') {
            Some(path) => self.root.path().join(path),
            None => self.directory.path().join(path),
        };
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, text).unwrap();
        self
    }

    fn read(&self, pairs: &[(&str, &str)]) -> Result<Environment, String> {
        let files = ConfigFiles::below(self.root.path(), self.directory.path());
        Environment::of_pairs(pairs).with_files(&files).map_err(|failure| {
            assert_eq!(failure.exit().code(), 2);
            failure.message().to_owned()
        })
    }

    fn worker_id(&self, pairs: &[(&str, &str)]) -> Option<String> {
        self.read(pairs).unwrap().text(&names::WORKER_ID).unwrap().map(str::to_owned)
    }
}

#[test]
fn each_layer_counts_before_those_below_it() {
    let mut machine = Machine::new();
    assert_eq!(machine.worker_id(&[]), None);
    for (path, text) in [
        ("gen-worker.yaml", "WORKER_ID: local-yaml"),
        ("/etc/gen-worker/config.yaml", "worker_id: machine-yaml"),
        ("/run/secrets/WORKER_ID", "secret-file\n"),
        (".env", "WORKER_ID=dot-env"),
    ] {
        machine = machine.with(path, text);
        let expected = text.trim().rsplit(['=', ' ']).next().unwrap();
        assert_eq!(machine.worker_id(&[]).as_deref(), Some(expected), "{path}");
    }
    assert_eq!(machine.worker_id(&[("WORKER_ID", "process")]).as_deref(), Some("process"));
    assert_eq!(machine.worker_id(&[("WORKER_ID", "")]).as_deref(), Some("dot-env"), "empty counts as unset");
}

#[test]
fn an_older_name_in_a_higher_layer_counts_before_the_newer_below() {
    let machine = Machine::new().with(".env", "ORCHESTRATOR_PUBLIC_ADDR=new:1\nWORKER_JWT=modern");
    let env = machine.read(&[("SCHEDULER_ADDR", "old:1")]).unwrap();
    assert_eq!(env.text(&names::ORCHESTRATOR_PUBLIC_ADDR).unwrap(), Some("old:1"));
    let tokens = [&names::AUTH_TOKEN, &names::WORKER_JWT];
    let env = machine.with("gen-worker.yaml", "AUTH_TOKEN: older").read(&[]).unwrap();
    let (variable, token) = env.text_of_first(&tokens).unwrap().unwrap();
    assert_eq!((variable.name, token), ("WORKER_JWT", "modern"));
}

#[test]
fn dotenv_values_are_literal_and_quotes_are_syntax() {
    let text = "\u{feff}# a comment\r\n\r\nOTHER=x\nWORKER_ID = a b # c \r\nexport USE_TLS='1'\nWORKER_JWT=\"e=y\\n\"\n\
                KEY=\"-----\nWORKER_ID=inside\n-----\" # behind\nworker_git_commit=abc\nPATH=/evil\nRUNPOD_POD_ID=\"a\"b\"\n";
    let env = Machine::new().with(".env", text).read(&[]).unwrap();
    let value = |variable: &Variable| env.text(variable).unwrap().map(str::to_owned);
    assert_eq!(value(&names::WORKER_ID).as_deref(), Some("a b # c"));
    assert_eq!(value(&names::USE_TLS).as_deref(), Some("1"));
    assert_eq!(value(&names::WORKER_JWT).as_deref(), Some("e=y\\n"));
    assert_eq!(value(&names::WORKER_GIT_COMMIT).as_deref(), Some("abc"));
    assert_eq!(value(&names::RUNPOD_POD_ID).as_deref(), Some("a\"b"));
    assert_eq!(value(&names::PATH), None, "the system's variables come from the process alone");
}

#[test]
fn broken_files_name_file_and_line_and_no_secret() {
    for (path, text, line) in [
        (".env", "A=1\nWORKER_JWT\n", "line 2: expected NAME=VALUE"),
        (".env", "A=1\nWORKER_JWT=\"topsecret\nB=2\n", "line 2: a quote is not closed"),
        (".env", "A=1\nWORKER_JWT=\"topsecret\"x\nB=\"2\"\n", "line 2: a quote is not closed"),
        ("gen-worker.yaml", "A: 1\nWORKER_JWT: [topsecret]\n", "line 2: the value must be plain"),
        ("gen-worker.yaml", "A: &a topsecret\nWORKER_JWT: *a\n", "line 2: the value must be plain"),
        ("gen-worker.yaml", "A: 1\nWORKER_JWT: \"topsecret\n", "not valid YAML"),
        ("gen-worker.yaml", "A: 1\n  B: topsecret: 2\n", "line 2: not valid YAML"),
        ("gen-worker.yaml", "- topsecret\n", "line 1: expected NAME: VALUE"),
        ("gen-worker.yaml", "A: 1\n---\nWORKER_JWT: topsecret\n", "one document is expected"),
        ("/etc/gen-worker/config.yaml", "topsecret", "line 1: expected NAME: VALUE"),
    ] {
        let error = Machine::new().with(path, text).read(&[]).err().expect(text);
        assert!(error.contains(line) && error.contains(path.trim_start_matches('/')), "{text:?}: {error}");
        assert!(!error.contains("topsecret"), "{error}");
    }
    for path in [".env", "gen-worker.yaml", "/run/secrets/WORKER_JWT"] {
        let error = Machine::new().with(path, b"WORKER_JWT: topsecret\xff").read(&[]).err().expect(path);
        assert!(error.contains("not UTF-8") && !error.contains("topsecret"), "{error}");
        let error = Machine::new().with(path, " ".repeat(256 * 1024 + 1)).read(&[]).err().expect(path);
        assert!(error.contains("longer than 262144 bytes"), "{error}");
    }
}

#[test]
fn yaml_keys_are_names_or_fields_and_values_plain() {
    let text = "# settings\nworker_jwt: a.b.c\nWORKER_DISCONNECTED_TIMEOUT_S: 5\nUSE_TLS: true\nWORKER_ID: ~\n\
                WORKER_GIT_COMMIT: 'null'\nhf_max_repo_bytes: 7\nother:\n  WORKER_ID: [1, {a: b}]\n  <<: *x\nRUNPOD_POD_ID: >\n  p\n  q\n";
    let text = text.replace("  <<: *x\n", "");
    let env = Machine::new().with("gen-worker.yaml", text).read(&[]).unwrap();
    assert_eq!(env.text(&names::WORKER_JWT).unwrap(), Some("a.b.c"));
    assert_eq!(env.seconds(&names::WORKER_DISCONNECTED_TIMEOUT_S).unwrap().unwrap().as_secs(), 5);
    assert!(env.switch(&names::USE_TLS).unwrap());
    assert_eq!(env.text(&names::WORKER_ID).unwrap(), None);
    assert_eq!(env.text(&names::WORKER_GIT_COMMIT).unwrap(), Some("null"));
    assert_eq!(env.text(&names::RUNPOD_POD_ID).unwrap(), Some("p q"));
    assert_eq!(env.text(&names::COZY_HF_MAX_REPO_BYTES).unwrap(), Some("7"), "by the name of the peer's field");
    for empty in ["", "# nothing\n", "---\n", "~\n", "{}\n"] {
        assert_eq!(Machine::new().with("gen-worker.yaml", empty).worker_id(&[]), None, "{empty:?}");
    }
}

#[test]
fn a_wrong_value_names_its_place() {
    let machine = Machine::new().with(".env", "RECONNECT_DELAY=topsecret");
    let failure = machine.read(&[]).unwrap().seconds(&names::RECONNECT_DELAY).unwrap_err();
    assert!(failure.message().contains("RECONNECT_DELAY (in ") && failure.message().contains(".env"));
    assert!(!failure.message().contains("topsecret"));
}

#[test]
fn directories_and_foreign_secrets_are_no_settings() {
    let machine = Machine::new().with(".env/bin/activate", "x").with("/run/secrets/rhsm/key", [0xff]);
    let machine = machine.with("/run/secrets/WORKER_ID/key", "x").with("/run/secrets/hf_token", "t\r\n");
    assert_eq!(machine.worker_id(&[]), None);
    let env = machine.read(&[]).unwrap();
    assert_eq!(env.raw(&names::HF_TOKEN).unwrap(), "t");
    let crowd = Machine::new();
    fs::create_dir_all(crowd.root.path().join("run/secrets")).unwrap();
    for number in 0..=1024 {
        fs::write(crowd.root.path().join(format!("run/secrets/{number}")), "").unwrap();
    }
    assert!(crowd.read(&[]).err().unwrap().contains("more than 1024 files"));
}
