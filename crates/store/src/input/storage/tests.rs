use super::*;

fn covers(base: &str, url: &str) -> bool {
    base.parse::<StorageBase>().unwrap().covers(&url.parse().unwrap())
}

#[test]
fn h14_1_a_storage_is_what_lies_below_its_address() {
    for base in ["http://10.0.0.7:9000/models", "HTTP://10.0.0.7:9000/models/", " http://10.0.0.7:9000/x/../models "] {
        assert!(covers(base, "http://10.0.0.7:9000/models/a/b.png?X-Amz-Signature=1"), "{base}");
        for other in [
            "http://10.0.0.7:9000/models",
            "http://10.0.0.7:9000/models/",
            "http://10.0.0.7:9000/models2/a",
            "http://10.0.0.7:9000/models/../other/a",
            "http://10.0.0.7:9000/models/%2e%2e/other/a",
            "http://10.0.0.7:9000/models/..%2fother/a",
            "http://10.0.0.7:9000/models/a%5C..%5Cb",
            "http://10.0.0.7:9000/models//a",
            "http://10.0.0.7:9000/minio/health/live?X-Amz-Signature=1",
            "http://10.0.0.7:9001/models/a",
            "https://10.0.0.7:9000/models/a",
            "http://me@10.0.0.7:9000/models/a",
            "http://10.0.0.8:9000/models/a",
        ] {
            assert!(!covers(base, other), "{base} {other}");
        }
    }
    assert!(covers("https://models.s3.example", "https://models.s3.example/a"), "a bucket with a host of its own");
    for bad in ["", "models", "ftp://h/models", "http://h/models?a", "http://me:pw@h/models", "http://h/#a"] {
        assert_eq!(bad.parse::<StorageBase>(), Err(NoStorage), "{bad}");
    }
}
