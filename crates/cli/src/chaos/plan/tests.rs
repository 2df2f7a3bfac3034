use serde_json::json;

use super::*;

fn plan(calls: Vec<Call>) -> Plan {
    Plan {
        seed: 7,
        rounds: 3,
        calls,
        skipped: Vec::new(),
        program: "/endpoints/my endpoint".into(),
        args: vec!["--model".into(), "a/b=/m".into()],
        patience: Duration::from_secs(1),
        json: false,
        verbose: false,
        spool: ScratchDir::named(),
        flags: vec!["--function".into(), "echo".into(), "--payload".into(), r#"{"text":"it's"}"#.into()],
    }
}

#[test]
fn a_replay_is_one_line_for_a_shell() {
    let replay = plan(Vec::new()).replay(9);
    let expected = r#"gen-worker chaos --seed 9 --rounds 1 --function echo --payload '{"text":"it'\''s"}' -- '/endpoints/my endpoint' --model a/b=/m"#;
    assert_eq!(replay, expected);
}

#[test]
fn functions_without_an_example_are_left_out_and_named() {
    let document = json!({"functions": [
        {"name": "echo", "input_schema": {"properties": {"text": {"type": "string"}}, "required": ["text"]}},
        {"name": "marco", "input_schema": {"properties": {"text": {"default": "marco"}}}},
    ]});
    let (calls, skipped) = Call::described(&document, None).unwrap();
    assert_eq!(calls, [Call { function: "marco".into(), payload: vec![0x80].into() }]);
    assert_eq!(skipped.len(), 1);
    assert!(skipped.iter().all(|text| text.contains(r#"--function echo --payload '{"text": ...}'"#)), "{skipped:?}");
    let failure = Call::described(&document, Some("echo")).unwrap_err();
    assert_eq!(failure.exit(), Exit::Usage);
    assert!(failure.message().contains("--function echo"), "{}", failure.message());
    assert!(Call::described(&document, Some("nobody")).unwrap_err().message().contains("no endpoint function matches"));
}

#[test]
fn a_file_has_one_call_per_line() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("calls.jsonl");
    std::fs::write(&path, "{\"function\": \"count_up\", \"payload\": {}}\n\n").unwrap();
    assert_eq!(Call::file(&path).unwrap(), [Call { function: "count-up".into(), payload: vec![0x80].into() }]);
    std::fs::write(&path, "{\"function\": \"echo\"}\n").unwrap();
    assert!(Call::file(&path).unwrap_err().message().contains("line 1"));
    std::fs::write(&path, "\n").unwrap();
    assert!(Call::file(&path).unwrap_err().message().contains("no call"));
}
