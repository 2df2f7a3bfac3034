//! Files of inputs, from a server that answers by path.

use std::{path::Path, sync::Arc, time::Duration};

use gen_worker_hub::{Blake3Hash, Digest};
use gen_worker_store::{
    AddressRule, InputAsset, InputError, InputFetcher, InputOptions, InputRequest, MimeList, PictureLimits,
};
use gen_worker_tasks::Scope;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};

/// More than is written at once.
const LARGE: usize = 5 * 1024 * 1024 / 2;

/// A picture of 37 by 21 pixels.
const PICTURE: &[u8] = include_bytes!("../../src/input/picture/tests/plain.png");

struct Server {
    base: String,
    scope: Arc<Scope>,
    directory: tempfile::TempDir,
}

impl Server {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let scope = Arc::new(Scope::new("inputs"));
        let cancel = scope.cancel().clone();
        scope.spawn("accept", async move {
            let connections = Scope::under("connections", &cancel);
            while let Ok((socket, _)) = listener.accept().await {
                connections.spawn("connection", async move { drop(answer(socket).await) });
            }
        });
        Self { base, scope, directory: tempfile::tempdir().unwrap() }
    }

    fn fetcher(&self, options: InputOptions) -> InputFetcher {
        InputFetcher::new(options, self.scope.clone()).unwrap()
    }

    async fn fetch(&self, path: &str, accepted: &MimeList) -> Result<InputAsset, InputError> {
        let options = InputOptions { addresses: AddressRule::Any, ..InputOptions::default() };
        self.fetch_with(options, path, accepted).await
    }

    async fn fetch_with(
        &self,
        options: InputOptions,
        path: &str,
        accepted: &MimeList,
    ) -> Result<InputAsset, InputError> {
        let url = format!("{}{path}", self.base);
        let directory = self.directory.path();
        let request = InputRequest {
            url: &url,
            number: 3,
            directory,
            bytes_max: None,
            accepted,
            expected: &[],
            picture: PictureLimits::default(),
            own: None,
        };
        self.fetcher(options).fetch(&request).await
    }

    fn left(&self) -> usize {
        std::fs::read_dir(self.directory.path()).unwrap().count()
    }
}

async fn answer(mut socket: TcpStream) -> std::io::Result<()> {
    let mut head = Vec::new();
    while !head.windows(4).any(|window| window == b"\r\n\r\n") {
        if socket.read_buf(&mut head).await? == 0 {
            return Ok(());
        }
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    let target = head.split(' ').nth(1).unwrap_or_default();
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let there = format!("Location: {query}\r\nContent-Length: 0\r\n");
    let large = vec![7; LARGE];
    let (status, headers, body): (_, _, &[u8]) = match path {
        "/a.PNG" | "/models/a.PNG" => (200, "Content-Type: Image/PNG; q=1\r\nContent-Length: 4\r\n", b"1234"),
        "/37x21.png" => (200, "Content-Type: text/plain\r\n", PICTURE),
        "/large" => (200, "", &large),
        "/long" => (200, "Content-Length: 99999999999\r\n", b""),
        "/short" => (200, "Content-Length: 9\r\n", b"1234"),
        "/silent" => {
            socket.write_all(b"HTTP/1.1 200 S\r\nContent-Length: 9\r\n\r\n1").await?;
            while socket.read(&mut [0; 64]).await? > 0 {}
            return Ok(());
        }
        "/moved" => (302, "Location: /a.PNG\r\nContent-Length: 0\r\n", b""),
        "/circle" => (302, "Location: /circle\r\nContent-Length: 0\r\n", b""),
        "/to" => (302, there.as_str(), b""),
        "/busy" => (503, "Content-Length: 0\r\n", b""),
        "/ftp" => (302, "Location: ftp://example.com/a\r\nContent-Length: 0\r\n", b""),
        _ => (404, "Content-Length: 0\r\n", b""),
    };
    socket.write_all(format!("HTTP/1.1 {status} S\r\nConnection: close\r\n{headers}\r\n").as_bytes()).await?;
    socket.write_all(body).await
}

#[tokio::test]
async fn h14_3_a_file_of_an_input_gets_a_name_of_its_own_its_size_and_its_kind() {
    let server = Server::start().await;
    let images = MimeList::new(["image/*"]);
    for path in ["/a.PNG?signature=hush", "/moved"] {
        let file = server.fetch(path, &images).await.unwrap();
        let name = if path == "/moved" { "input-3" } else { "input-3.PNG" };
        let expected = server.directory.path().join(name);
        assert_eq!(file, InputAsset { path: expected.clone(), size_bytes: 4, mime_type: "image/png".to_owned() });
        assert_eq!(std::fs::read(expected).unwrap(), b"1234");
    }
    let file = server.fetch("/large", &MimeList::default()).await;
    assert!(matches!(file, Err(InputError::Disk { .. })), "the name is taken: {file:?}");
    std::fs::remove_file(server.directory.path().join("input-3")).unwrap();
    let file = server.fetch("/large", &MimeList::default()).await.unwrap();
    assert_eq!((file.size_bytes, file.mime_type.as_str()), (LARGE as u64, "application/octet-stream"));
    assert_eq!(std::fs::read(file.path).unwrap(), vec![7; LARGE]);
}

#[tokio::test]
async fn h14_1_names_and_addresses_of_private_networks_are_not_asked() {
    let server = Server::start().await;
    let port = server.base.rsplit(':').next().unwrap();
    let fetcher = server.fetcher(InputOptions::default());
    let accepted = MimeList::default();
    let outcome = async |url: String, directory: &Path| {
        let request = InputRequest {
            url: &url,
            number: 0,
            directory,
            bytes_max: None,
            accepted: &accepted,
            expected: &[],
            picture: PictureLimits::default(),
            own: None,
        };
        let error = fetcher.fetch(&request).await.unwrap_err();
        assert!(error.is_invalid_input(), "{error:?}");
        error
    };
    let directory = server.directory.path();
    for host in ["127.0.0.1", "localhost", "[::1]", "2130706433"] {
        let error = outcome(format!("http://{host}:{port}/a.PNG"), directory).await;
        assert!(matches!(error, InputError::Private { .. }), "{host}: {error:?}");
    }
    // Longer than a label of a name may be: no resolver is asked for it.
    let error = outcome(format!("http://{}.example/", "a".repeat(64)), directory).await;
    assert!(matches!(error, InputError::Unknown { .. }), "{error:?}");
    for url in ["ftp://example.com/a", "no address", "http://"] {
        let error = outcome(url.to_owned(), directory).await;
        assert!(matches!(error, InputError::Address), "{url}: {error:?}");
    }
    assert_eq!(server.left(), 0);
}

#[tokio::test]
async fn h14_1_every_redirect_is_checked() {
    let server = Server::start().await;
    let error = server.fetch("/ftp", &MimeList::default()).await.unwrap_err();
    assert!(matches!(error, InputError::Address), "{error:?}");
    let error = server.fetch("/circle", &MimeList::default()).await.unwrap_err();
    assert!(matches!(error, InputError::Redirects), "{error:?}");
}

#[tokio::test]
async fn h14_2_what_is_too_large_late_broken_or_of_another_kind_leaves_no_file() {
    let server = Server::start().await;
    let all = MimeList::default();
    let options = |bytes_max| InputOptions { bytes_max, addresses: AddressRule::Any, ..InputOptions::default() };
    let error = server.fetch_with(options(LARGE as u64 - 1), "/large", &all).await.unwrap_err();
    assert!(matches!(error, InputError::TooLarge { .. }) && error.is_invalid_input(), "{error:?}");
    assert!(server.fetch_with(options(4), "/a.PNG", &all).await.is_ok(), "as many as it may have");
    std::fs::remove_file(server.directory.path().join("input-3.PNG")).unwrap();
    let error = server.fetch("/long", &all).await.unwrap_err();
    assert!(matches!(error, InputError::TooLarge { .. }), "{error:?}");
    let error = server.fetch("/a.PNG", &MimeList::new(["image/jpeg"])).await.unwrap_err();
    assert!(matches!(error, InputError::Type { .. }) && error.is_invalid_input(), "{error:?}");
    let error = server.fetch("/gone", &all).await.unwrap_err();
    assert!(matches!(error, InputError::Status { status: 404 }), "{error:?}");
    let error = server.fetch("/busy", &all).await.unwrap_err();
    assert!(matches!(error, InputError::Status { status: 503 }) && !error.is_invalid_input(), "{error:?}");
    let error = server.fetch("/short?signature=hush", &all).await.unwrap_err();
    assert!(matches!(error, InputError::Broken(_)) && !error.is_invalid_input(), "{error:?}");
    assert!(!format!("{error:?}").contains("hush"), "{error:?}");
    let soon = InputOptions { time_max: Duration::from_millis(50), ..options(9) };
    let error = server.fetch_with(soon, "/silent", &all).await.unwrap_err();
    assert!(matches!(error, InputError::Late), "{error:?}");
    assert_eq!(server.left(), 0);
}

#[tokio::test]
async fn h14_1_the_own_storage_is_asked_wherever_it_is_and_nobody_else_through_it() {
    let (own, other) = (Server::start().await, Server::start().await);
    let (fetcher, accepted) = (own.fetcher(InputOptions::default()), MimeList::default());
    let fetch = async |url: String, base: &str| {
        let directory = own.directory.path();
        let request = InputRequest {
            url: &url,
            number: 0,
            directory,
            bytes_max: None,
            accepted: &accepted,
            expected: &[],
            picture: PictureLimits::default(),
            own: Some(base),
        };
        fetcher.fetch(&request).await
    };
    let base = format!("{}/prefix", own.base);
    assert_eq!(fetch(format!("{}/moved", own.base), &base).await.unwrap().size_bytes, 4);
    let leads_away = format!("{}/to?{}/a.PNG", own.base, other.base);
    for url in [format!("{}/a.PNG", other.base), leads_away] {
        let error = fetch(url.clone(), &base).await.unwrap_err();
        assert!(matches!(error, InputError::Private { .. }), "{url}: {error:?}");
    }
    let error = fetch(format!("{}/a.PNG", own.base), "no address").await.unwrap_err();
    assert!(matches!(error, InputError::Private { .. }), "{error:?}");
}

#[tokio::test]
async fn h14_2_other_bytes_than_were_announced_leave_no_file() {
    let server = Server::start().await;
    let options = InputOptions { addresses: AddressRule::Any, ..InputOptions::default() };
    let (fetcher, accepted) = (server.fetcher(options), MimeList::default());
    let url = format!("{}/a.PNG", server.base);
    let right = [Digest::sha256(b"1234"), Blake3Hash::of(b"1234").into()];
    let fetch = async |expected: &[Digest]| {
        let directory = server.directory.path();
        let request = InputRequest {
            url: &url,
            number: 0,
            directory,
            bytes_max: None,
            accepted: &accepted,
            expected,
            picture: PictureLimits::default(),
            own: None,
        };
        fetcher.fetch(&request).await
    };
    for wrong in [[right[0], Blake3Hash::of(b"1235").into()], [Digest::sha256(b""), right[1]]] {
        let error = fetch(&wrong).await.unwrap_err();
        assert!(matches!(error, InputError::Digest { .. }) && error.is_invalid_input(), "{error:?}");
        assert_eq!(server.left(), 0);
    }
    assert_eq!(fetch(&right).await.unwrap().size_bytes, 4);
}

#[tokio::test]
async fn e120_a_picture_that_is_too_large_or_none_at_all_leaves_no_file() {
    let server = Server::start().await;
    let options = InputOptions { addresses: AddressRule::Any, ..InputOptions::default() };
    let (fetcher, accepted) = (server.fetcher(options), MimeList::default());
    let fetch = async |path: &str, picture: PictureLimits| {
        let (url, directory) = (format!("{}{path}", server.base), server.directory.path());
        let own = None;
        let request = InputRequest {
            url: &url,
            number: 0,
            directory,
            bytes_max: None,
            accepted: &accepted,
            expected: &[],
            picture,
            own,
        };
        fetcher.fetch(&request).await
    };
    let wide = |width| PictureLimits { width_max: Some(width), ..PictureLimits::default() };
    let error = fetch("/37x21.png", wide(36)).await.unwrap_err();
    assert!(matches!(error, InputError::Picture { measure: "width", found: 37, most: 36 }), "{error:?}");
    assert!(error.is_invalid_input() && server.left() == 0);
    let error = fetch("/a.PNG", wide(u64::MAX)).await.unwrap_err();
    assert!(matches!(error, InputError::NoPicture) && error.is_invalid_input(), "{error:?}");
    assert_eq!(server.left(), 0);
    assert_eq!(fetch("/37x21.png", wide(37)).await.unwrap().size_bytes, PICTURE.len() as u64);
}

#[tokio::test]
async fn h14_1_the_buckets_of_the_pool_are_asked_wherever_they_are_and_nothing_beside_them() {
    let (bucket, hub) = (Server::start().await, Server::start().await);
    let storage = vec![format!("{}/models", bucket.base).parse().unwrap()];
    let fetcher = hub.fetcher(InputOptions { storage, ..InputOptions::default() });
    let accepted = MimeList::default();
    let fetch = async |url: &str, own: Option<&str>| {
        let directory = tempfile::tempdir().unwrap();
        let request = InputRequest {
            url,
            number: 0,
            directory: directory.path(),
            bytes_max: None,
            accepted: &accepted,
            expected: &[],
            picture: PictureLimits::default(),
            own,
        };
        fetcher.fetch(&request).await
    };
    let signed = format!("{}/models/a.PNG?X-Amz-Signature=1", bucket.base);
    // Straight, and when the hub leads there.
    let led = format!("{}/to?{}/models/a.PNG", hub.base, bucket.base);
    for url in [&signed, &led] {
        assert_eq!(fetch(url, Some(&hub.base)).await.unwrap().size_bytes, 4, "{url}");
    }
    for beside in ["/a.PNG", "/models", "/models/../a.PNG", "/models/..%2Fa.PNG", "/modelsx/a.PNG"] {
        for url in [format!("{}{beside}", bucket.base), format!("{}/to?{}{beside}", hub.base, bucket.base)] {
            let error = fetch(&url, Some(&hub.base)).await.unwrap_err();
            assert!(matches!(error, InputError::Private { .. }), "{url}: {error:?}");
        }
    }
    let stranger = fetch(&format!("{}/to?{}/models/a.PNG", hub.base, bucket.base), None).await.unwrap_err();
    assert!(matches!(stranger, InputError::Private { .. }), "nobody else of the network: {stranger:?}");
}
