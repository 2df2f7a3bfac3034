use serde_json::json;

use super::*;

fn local() -> LocalFile {
    LocalFile { reference: "a".into(), size_bytes: 2, blake3: Blake3Hash::of(b"{}"), mime_type: "text/plain".into() }
}

#[test]
fn h4_15_quotes_do_not_matter() {
    assert!(same_etag("\"abc\"", "abc") && same_etag("abc", "abc") && !same_etag("\"abc\"", "abd"));
    let parts = vec![PartEtag { part_number: 2, etag: "\"b\"".into() }, PartEtag { part_number: 1, etag: "a".into() }];
    let body = serde_json::to_value(CompleteRequest::of_parts(parts)).unwrap();
    assert_eq!(body, json!({"parts": [{"part_number": 1, "etag": "a"}, {"part_number": 2, "etag": "\"b\""}]}));
}

#[test]
fn h4_16_a_transfer_needs_no_etag() {
    let hash = Blake3Hash::of(b"{}").to_string();
    let transfer = json!({"mode": "s3_sdk", "bucket": "b", "key": "k", "size_bytes": 2, "blake3": hash});
    let read: CompleteRequest = serde_json::from_value(json!({"transfer": transfer, "title": "extra"})).unwrap();
    let done = read.transfer.unwrap();
    assert_eq!(done.etag, "");
    let written = serde_json::to_value(CompleteRequest::of_transfer(done)).unwrap();
    assert!(written.get("parts").is_none() && written["transfer"]["etag"] == "");
}

#[test]
fn h4_20_what_the_reply_leaves_out_is_known_here() {
    let empty = UploadedFile::from_reply(b"", &local()).unwrap();
    assert_eq!((empty.reference.as_str(), empty.size_bytes, empty.mime_type.as_str()), ("a", 2, "text/plain"));
    assert_eq!(empty.blob_digest, Blake3Hash::of(b"{}").into());
    let reply =
        json!({"ref": "b", "sha256": "ab", "mime_type": "x/y", "media_id": "m", "blob_domain": "d", "filename": "f"});
    let full = UploadedFile::from_reply(reply.to_string().as_bytes(), &local()).unwrap();
    assert_eq!((full.reference.as_str(), full.mime_type.as_str(), full.sha256.as_deref()), ("b", "x/y", Some("ab")));
    assert_eq!((full.blob_domain.as_deref(), full.filename.as_deref()), (Some("d"), Some("f")));
}

#[test]
fn h4_20_a_reply_about_other_content_is_refused() {
    let read = |reply: Value| UploadedFile::from_reply(reply.to_string().as_bytes(), &local());
    assert_eq!(read(json!({"size_bytes": 3})), Err(ReplyError::Invalid("size_bytes")));
    assert_eq!(read(json!({"blake3": Blake3Hash::of(b"other")})), Err(ReplyError::Invalid("blake3")));
    assert_eq!(read(json!([])), Err(ReplyError::NoObject));
}
