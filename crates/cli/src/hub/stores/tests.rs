use super::*;

fn given(database: Option<&str>, objects: Option<&str>, env: &[(&str, &str)]) -> Result<Stores, Failure> {
    let text = |text: Option<&str>| text.map(str::to_owned);
    let args = StoreArgs { database: text(database), objects: text(objects), ..StoreArgs::default() };
    Stores::given(&args, &Environment::of_pairs(env))
}

#[test]
fn nothing_given_is_the_directory() {
    let stores = given(None, None, &[]).unwrap();
    assert!(stores.database.is_none() && stores.bucket.is_none());
}

#[test]
fn the_command_line_counts_before_the_environment() {
    let env = [
        ("GEN_WORKER_HUB_DATABASE", "postgres://me:hunter2@db/hub"),
        ("GEN_WORKER_HUB_OBJECTS", "s3://models"),
        ("AWS_ACCESS_KEY_ID", "key"),
        ("AWS_SECRET_ACCESS_KEY", "hunter3"),
    ];
    let stores = given(None, None, &env).unwrap();
    assert_eq!(stores.database.as_deref(), Some("postgres://me:hunter2@db/hub"));
    let shown = format!("{stores:?}");
    assert!(shown.contains("models") && !shown.contains("hunter"), "{shown}");
    let stores = given(Some("postgresql:///other?host=/run"), Some("s3://other/hub"), &env).unwrap();
    assert_eq!(stores.database.as_deref(), Some("postgresql:///other?host=/run"));
}

#[test]
fn clients_read_from_amazon_and_from_where_they_are_told() {
    let direct = |endpoint: Option<&str>, reads: Option<&str>| {
        let text = |text: Option<&str>| text.map(str::to_owned);
        let (objects_endpoint, objects_reads) = (text(endpoint), text(reads));
        let args =
            StoreArgs { objects: text(Some("s3://a-bucket")), objects_endpoint, objects_reads, ..StoreArgs::default() };
        let keys = [("AWS_ACCESS_KEY_ID", "key"), ("AWS_SECRET_ACCESS_KEY", "secret")];
        let stores = Stores::given(&args, &Environment::of_pairs(&keys))?;
        let bucket = stores.bucket.expect("it was given");
        bucket.open(Arc::new(Scope::new("test"))).map(|blobs| blobs.is_read_directly())
    };
    let own = Some("http://127.0.0.1:9");
    for (endpoint, reads, expected) in [
        (None, None, true),
        (None, Some("hub"), false),
        (own, None, false),
        (own, Some("bucket"), true),
        (own, Some("https://s3.example"), true),
    ] {
        assert_eq!(direct(endpoint, reads).unwrap(), expected, "{endpoint:?} {reads:?}");
    }
    let check = |reads: &str, public_url: &str| {
        let text = |text: &str| Some(text.to_owned());
        let args = StoreArgs {
            objects: text("s3://a-bucket"),
            objects_endpoint: text("http://127.0.0.1:9"),
            objects_reads: text(reads),
            ..StoreArgs::default()
        };
        Stores::given(&args, &Environment::of_pairs(&[])).unwrap().check_reads(public_url)
    };
    assert!(check("bucket", "https://hub.example").unwrap_err().message().contains("objects-reads"));
    check("bucket", "http://hub.example").unwrap();
    check("https://s3.example", "https://hub.example").unwrap();
    check("hub", "https://hub.example").unwrap();
    for wrong in ["", "yes", "ftp://s3.example"] {
        assert!(direct(own, Some(wrong)).unwrap_err().message().contains("objects-reads"));
    }
}

#[test]
fn what_is_wrong_is_named_and_not_shown() {
    let keys = [("AWS_ACCESS_KEY_ID", "hunter2")];
    for (database, objects, env, part) in [
        (Some("postgres://me:hunter2@db/hub"), Some("s3://models"), &[][..], "GEN_WORKER_HUB_DATABASE"),
        (Some("postgres:///hub?host=h&password=hunter2"), Some("s3://models"), &[], "GEN_WORKER_HUB_DATABASE"),
        (Some("mysql://hunter2@db"), Some("s3://models"), &[], "postgres://"),
        (Some("postgres://me@db/hub"), None, &[], "--objects"),
        (None, Some("hunter2"), &[], "s3://bucket"),
        (None, Some("s3:///prefix"), &[], "s3://bucket"),
        (None, Some("s3://a/../hunter2"), &[], "prefix"),
        (None, Some("s3://models"), &keys, "AWS_SECRET_ACCESS_KEY"),
    ] {
        let failure = given(database, objects, env).unwrap_err();
        assert!(failure.message().contains(part), "{part}: {failure:?}");
        assert!(!failure.message().contains("hunter2"), "{failure:?}");
    }
}
