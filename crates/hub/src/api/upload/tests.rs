use proptest::prelude::*;
use serde_json::json;

use super::*;

fn local(size_bytes: u64) -> LocalFile {
    LocalFile {
        reference: "outputs/a.png".into(),
        size_bytes,
        blake3: Blake3Hash::of(b"x"),
        mime_type: "image/png".into(),
    }
}

fn start(reply: &Value, size_bytes: u64, grant_only: bool) -> Result<UploadStart, ReplyError> {
    UploadStart::from_reply(reply.to_string().as_bytes(), &local(size_bytes), grant_only)
}

fn parts(count: usize, part_size: u64) -> Value {
    let urls: Vec<_> = (0..count).map(|n| format!("http://h/{n}?sig=1")).collect();
    json!({"upload_id": "up-1", "part_urls": urls, "part_size": part_size, "total_parts": count})
}

#[test]
fn h4_1_refs_are_relative_and_no_addresses() {
    assert_eq!(UploadPlace::media("/outputs/a.png"), UploadPlace::media("outputs/a.png"));
    for bad in ["", "/", "http://host/a", "../a", "a//b"] {
        assert!(UploadPlace::media(bad).is_err(), "{bad}");
    }
}

#[test]
fn h4_create_has_the_fields_of_its_place() {
    let create = UploadCreate {
        blake3: Blake3Hash::of(b"{}"),
        size_bytes: 2,
        request_id: Some("r".into()),
        job_id: None,
        content_type: None,
        create: false,
        place: UploadPlace::media("a").unwrap(),
    };
    let value = serde_json::to_value(&create).unwrap();
    let hash = "6e46dd10defc9b56c29a6ec56b508c21f54c08192194e4df25bf36f0c9c3c279";
    assert_eq!(value, json!({"blake3": hash, "size_bytes": 2, "request_id": "r", "ref": "a"}));
    assert_eq!(serde_json::from_value::<UploadCreate>(value).unwrap(), create);
    let path = json!({"blake3": hash, "size_bytes": 2, "path": "b", "create": true, "unknown": 1});
    let read: UploadCreate = serde_json::from_value(path).unwrap();
    assert!(read.create && read.place == UploadPlace::Path("b".parse().unwrap()));
}

#[test]
fn h4_3_a_reply_without_an_upload_is_refused() {
    assert_eq!(UploadStart::from_reply(b" ", &local(1), false), Err(ReplyError::Missing("upload_id")));
    assert_eq!(UploadStart::from_reply(b"[]", &local(1), false), Err(ReplyError::NoObject));
    assert_eq!(start(&json!({"upload_id": "a/../b"}), 1, false), Err(ReplyError::Invalid("upload_id")));
}

#[test]
fn h4_4_known_content_is_finished() {
    for dedup in [json!(true), json!(1), json!("yes")] {
        let reply = json!({"dedup": dedup, "ref": "outputs/b.png", "media_id": "m1"});
        let UploadStart::Done(done) = start(&reply, 1, true).unwrap() else { panic!("a transfer") };
        assert_eq!((done.reference.as_str(), done.media_id.as_deref()), ("outputs/b.png", Some("m1")));
        assert_eq!((done.size_bytes, done.mime_type.as_str()), (1, "image/png"));
    }
    assert!(matches!(start(&json!({"dedup": false}), 1, false), Err(ReplyError::Missing("upload_id"))));
}

#[test]
fn h4_5_a_grant_goes_before_parts() {
    let mut reply = parts(1, 8);
    let grant =
        json!({"endpointUrl": "http://s3", "bucket": "b", "key": "k", "accessKeyId": "i", "secretAccessKey": "s"});
    reply["s3_transfer_grant"] = grant;
    let found = start(&reply, 1, false).unwrap();
    assert!(matches!(found, UploadStart::Transfer { source: UploadSource::Grant(_), .. }));
    reply["s3_transfer_grant"] = json!({"bucket": "b"});
    assert_eq!(start(&reply, 1, false), Err(ReplyError::Missing("endpoint_url")));
}

#[test]
fn h4_6_revisions_take_no_parts() {
    assert_eq!(start(&parts(1, 8), 1, true), Err(ReplyError::GrantNeeded));
    assert!(start(&parts(1, 8), 1, false).is_ok());
}

#[test]
fn h4_7_parts_have_defaults_and_must_cover_the_file() {
    let bare = json!({"upload_id": "u", "part_urls": ["http://h/0"]});
    assert!(start(&bare, PART_SIZE_DEFAULT, false).is_ok());
    assert_eq!(start(&bare, PART_SIZE_DEFAULT + 1, false), Err(ReplyError::Invalid("total_parts")));
    assert_eq!(start(&json!({"upload_id": "u"}), 1, false), Err(ReplyError::Missing("part_urls")));
    assert_eq!(start(&json!({"upload_id": "u", "part_urls": [3]}), 1, false), Err(ReplyError::Invalid("part_urls")));
    assert_eq!(start(&parts(1, 0), 1, false), Err(ReplyError::Invalid("part_size")));
    assert_eq!(start(&parts(3, 8), 16, false), Err(ReplyError::Invalid("total_parts")));
    assert_eq!(start(&parts(PARTS_MAX + 1, 1), 1, false), Err(ReplyError::TooMany("part_urls")));
    let mut lying = parts(2, 8);
    lying["total_parts"] = json!(3);
    assert_eq!(start(&lying, 16, false), Err(ReplyError::Invalid("total_parts")));
}

#[test]
fn h6_4_an_empty_file_has_one_empty_part() {
    let reply = parts(1, 8);
    let urls = PartUrls::from_object(reply.as_object().unwrap(), 0).unwrap();
    let ranges: Vec<_> = urls.parts().map(|(range, _)| range).collect();
    assert_eq!(ranges, [PartRange { number: 1, offset: 0, length: 0 }]);
}

proptest! {
    #[test]
    fn h4_8_parts_cover_the_file_once(size in 1u64..10_000, part_size in 1u64..5_000) {
        let count = usize::try_from(size.div_ceil(part_size)).unwrap();
        prop_assume!(count <= PARTS_MAX);
        let reply = parts(count, part_size);
        let urls = PartUrls::from_object(reply.as_object().unwrap(), size).unwrap();
        let mut end = 0;
        for ((range, url), number) in urls.parts().zip(1..) {
            prop_assert_eq!((range.number, range.offset), (number, end));
            prop_assert!(range.length > 0 && range.length <= part_size);
            prop_assert_eq!(url.without_query(), format!("http://h/{}", number - 1));
            end += range.length;
        }
        prop_assert_eq!(end, size);
    }
}
