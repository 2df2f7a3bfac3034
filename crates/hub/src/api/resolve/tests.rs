use serde_json::json;

use super::*;

const HEX: &str = "6e46dd10defc9b56c29a6ec56b508c21f54c08192194e4df25bf36f0c9c3c279";

fn reply(value: &Value) -> Result<Resolved, ReplyError> {
    Resolved::from_reply(value.to_string().as_bytes())
}

fn good() -> Value {
    json!({
        "snapshot_digest": "blake3:ab12",
        "files": [{"path": "a", "size_bytes": 2, "blake3": format!("blake3:{}", HEX.to_uppercase()), "url": "http://h/a?s=1"}],
    })
}

#[test]
fn h3_2_digests_lose_their_prefix() {
    let resolved = reply(&good()).unwrap();
    assert_eq!(resolved.snapshot.as_str(), "ab12");
    assert_eq!(resolved.files[0].blake3.to_string(), HEX);
    assert_eq!(resolved.files[0].size_bytes, 2);
}

#[test]
fn h3_3_a_file_without_something_fails_all() {
    for field in ["path", "blake3", "url"] {
        let mut less = good();
        less["files"][0].as_object_mut().unwrap().remove(field);
        assert_eq!(reply(&less), Err(ReplyError::Missing(field)));
        less["files"][0][field] = "".into();
        assert_eq!(reply(&less), Err(ReplyError::Missing(field)));
    }
    let mut with_junk = good();
    with_junk["files"].as_array_mut().unwrap().insert(0, json!(7));
    assert_eq!(reply(&with_junk).unwrap().files.len(), 1);
    let mut nameless = good();
    nameless["snapshot_digest"] = "".into();
    assert_eq!(reply(&nameless), Err(ReplyError::Missing("snapshot_digest")));
    assert_eq!(reply(&json!({"snapshot_digest": "a", "files": []})), Err(ReplyError::Missing("files")));
    assert_eq!(Resolved::from_reply(b"[]"), Err(ReplyError::NoObject));
    assert!(matches!(Resolved::from_reply(b"{\"a\":"), Err(ReplyError::Form { line: 1, .. })));
}

#[test]
fn h3_3_unsafe_paths_fail_all() {
    for path in ["../a", "/", "a\\..\\..\\b", "a/../../b", "a//b"] {
        let mut bad = good();
        bad["files"][0]["path"] = path.into();
        assert_eq!(reply(&bad), Err(ReplyError::Invalid("path")), "{path}");
    }
    let mut twice = good();
    let file = json!({"path": "A", "blake3": HEX, "url": "http://h/A"});
    twice["files"].as_array_mut().unwrap().push(file);
    assert_eq!(reply(&twice), Err(ReplyError::Invalid("path")));
}

#[test]
fn m6_16_paths_are_read_as_peers_read_them() {
    for (path, meant) in [("/a", "a"), ("a\\b", "a/b")] {
        let mut tree = good();
        tree["files"][0]["path"] = path.into();
        assert_eq!(reply(&tree).unwrap().files[0].path.as_str(), meant);
    }
}

#[test]
fn h3_4_a_grant_is_as_good_as_an_address() {
    let mut granted = good();
    let file = granted["files"][0].as_object_mut().unwrap();
    file.remove("url");
    let grant =
        json!({"endpoint_url": "http://s3", "bucket": "b", "key": "k", "access_key_id": "i", "secret_access_key": "s"});
    file.insert("s3_transfer_grant".to_owned(), grant);
    assert!(matches!(reply(&granted).unwrap().files[0].source, FileSource::TransferGrant(_)));
}

#[test]
fn h3_8_no_size_is_zero_and_a_bad_one_an_error() {
    let mut unknown = good();
    unknown["files"][0].as_object_mut().unwrap().remove("size_bytes");
    assert_eq!(reply(&unknown).unwrap().files[0].size_bytes, 0);
    unknown["files"][0]["size_bytes"] = json!(-1);
    assert_eq!(reply(&unknown), Err(ReplyError::Invalid("size_bytes")));
}

#[test]
fn h3_what_a_server_writes_a_client_reads() {
    let mut full = good();
    full["sibling_flavors"] = json!([{"flavor": "fp8", "size_bytes": 7}, {"flavor": "NO"}, 3]);
    let resolved = reply(&full).unwrap();
    assert_eq!(resolved.sibling_flavors.len(), 1);
    assert_eq!(reply(&serde_json::to_value(&resolved).unwrap()).unwrap(), resolved);
}

#[test]
fn m3_5_snapshots_come_under_many_names() {
    let url = "http://h/a";
    let snapshot = json!({
        "snapshotDigest": "d1",
        "entries": [
            {"path": "a", "BLAKE3": HEX, "url": url},
            {"path": "b", "digest": format!("blake3:{HEX}"), "url": url},
            {"blake3": HEX, "url": url},
        ],
    });
    let read = Resolved::from_snapshot(&snapshot).unwrap();
    assert_eq!(read.files.iter().map(|file| file.path.as_str()).collect::<Vec<_>>(), ["a", "b"]);
    let no_hash = json!({"snapshot_digest": "d", "files": [{"path": "a", "url": url}]});
    assert_eq!(Resolved::from_snapshot(&no_hash), Err(ReplyError::Missing("blake3")));
    let no_source = json!({"snapshot_digest": "d", "files": [{"path": "a", "blake3": HEX}]});
    assert_eq!(Resolved::from_snapshot(&no_source), Err(ReplyError::Missing("url")));
    assert_eq!(Resolved::from_snapshot(&json!(3)), Err(ReplyError::NoObject));
}
