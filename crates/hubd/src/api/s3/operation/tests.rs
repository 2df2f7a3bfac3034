use super::*;

fn of(method: &str, query: &str) -> Option<Operation> {
    Operation::of(&method.parse().unwrap(), query, &HeaderMap::new()).ok()
}

#[test]
fn h4_29_method_and_query_say_what_is_meant() {
    let id = || "t1".parse::<ServerId>().unwrap();
    let writes = [
        ("PUT", "", Write::Whole),
        ("PUT", "x-id=PutObject", Write::Whole),
        ("POST", "uploads", Write::Begin),
        ("POST", "uploads=", Write::Begin),
        ("PUT", "partNumber=10000&uploadId=t1", Write::Part(id(), 10_000)),
        ("POST", "uploadId=t1", Write::Finish(id())),
        ("DELETE", "uploadId=t1", Write::Abort(id())),
    ];
    for (method, query, write) in writes {
        assert_eq!(of(method, query), Some(Operation::Write(write)), "{method} {query}");
    }
    assert_eq!([of("GET", ""), of("HEAD", "")], [Some(Operation::Read), Some(Operation::Read)]);
}

#[test]
fn h4_29_other_operations_are_refused() {
    let others = [
        ("DELETE", ""),
        ("GET", "uploads"),
        ("GET", "uploadId=t1"),
        ("GET", "versionId=1"),
        ("PUT", "acl"),
        ("PUT", "uploadId=t1"),
        ("PUT", "partNumber=1"),
        ("PUT", "partNumber=0&uploadId=t1"),
        ("PUT", "partNumber=10001&uploadId=t1"),
        ("PUT", "partNumber=-1&uploadId=t1"),
        ("PUT", "partNumber=1&uploadId=a%2Fb"),
        ("POST", ""),
        ("POST", "delete"),
        ("PATCH", ""),
    ];
    for (method, query) in others {
        assert_eq!(of(method, query), None, "{method} {query}");
    }
    let mut copy = HeaderMap::new();
    copy.insert("x-amz-copy-source", "other/key".parse().unwrap());
    assert!(Operation::of(&Method::PUT, "", &copy).is_err());
}
