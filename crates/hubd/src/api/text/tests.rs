use super::*;

const LONG: usize = SMALL_MAX / 2;

fn ones(count: usize) -> String {
    vec!["1"; count].join(",")
}

#[test]
fn h6_3_files_are_no_text_and_all_else_is() {
    let add = r#"{"type":"add","path":"a","size_bytes":1}"#;
    let files = vec![add; 40_000].join(",");
    let commit = |more: &str| format!(r#"{{"operations":[{files}],"mode":"merge"{more}}}"#);
    assert!(commit("").len() > SMALL_MAX);
    assert!(check(commit("").as_bytes(), Place::Commit).is_ok());
    for field in ["metadata", "unknown", "checkpoint_flavors"] {
        let nested = format!(r#","{field}":[{{"operations":[{0}],"deletions":[{0}]}}]"#, ones(LONG));
        assert!(check(commit(&nested).as_bytes(), Place::Commit).is_err(), "{field}");
    }
    let long = format!(r#","message":"{}""#, "x".repeat(SMALL_MAX));
    assert!(check(commit(&long).as_bytes(), Place::Commit).is_err());
    let entry = format!(r#"{{"operations":[{{"type":"add","x":[{}]}}]}}"#, ones(ENTRY_BYTES_MAX));
    assert!(check(entry.as_bytes(), Place::Commit).is_err(), "one file");
}

#[test]
fn h5_5_the_manifests_of_a_session_are_no_text() {
    let file = format!(r#"{{"path":"a","digest":"blake3:{}","size_bytes":1}}"#, "0".repeat(64));
    let files = vec![file; 10_000].join(",");
    let body = |more: &str| {
        format!(
            r#"{{"checkpoint_flavors":[{{"snapshot_manifest":[{files}],"deletions":null,"metadata":{{{more}}}}}]}}"#
        )
    };
    assert!(body("").len() > SMALL_MAX);
    assert!(check(body("").as_bytes(), Place::Session).is_ok());
    let nested = format!(r#""deletions":[{}]"#, ones(LONG));
    assert!(check(body(&nested).as_bytes(), Place::Session).is_err());
    assert!(check(b"{", Place::Session).is_err());
}
