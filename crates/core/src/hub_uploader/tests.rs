//! What a Hub is asked in the name of a job.

use std::collections::VecDeque;

use gen_worker_proto::Pair;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
    sync::mpsc,
};

use super::*;

/// A Hub that answers in this order, one connection for each request, and shows what it was asked.
struct Hub {
    base: String,
    asked: mpsc::UnboundedReceiver<String>,
    uploader: HubUploader,
    _scope: Arc<Scope>,
}

async fn hub(answers: &[(u16, &str)]) -> Hub {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let base = format!("http://{}", listener.local_addr().expect("an address"));
    let (sender, asked) = mpsc::unbounded_channel();
    let scope = Arc::new(Scope::new("hub"));
    let mut answers: VecDeque<_> = answers.iter().map(|(status, body)| (*status, (*body).to_owned())).collect();
    scope.spawn("hub", async move {
        while let Some((status, body)) = answers.pop_front() {
            let (mut socket, _) = listener.accept().await.expect("a connection");
            let mut request = Vec::new();
            let text = loop {
                socket.read_buf(&mut request).await.expect("a request");
                let text = String::from_utf8_lossy(&request).into_owned();
                let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
                let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok());
                if body.len() >= length.unwrap_or(0) {
                    break text;
                }
            };
            sender.send(text).expect("the test listens");
            let length = body.len();
            let head = format!("HTTP/1.1 {status} S\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n");
            socket.write_all(format!("{head}{body}").as_bytes()).await.expect("a client");
        }
    });
    let uploader = HubUploader::new(UploadOptions::default(), scope.clone());
    Hub { base, asked, uploader, _scope: scope }
}

impl Hub {
    async fn upload(&self, token: &str) -> Result<UploadedFile, UploadError> {
        let upload = OutputUpload {
            pair: Pair::parse("r1", 2).expect("a pair"),
            file_base_url: self.base.clone(),
            capability_token: token.to_owned(),
            tenant: "acme".to_owned(),
            name: "results/r1.msgpack".to_owned(),
            content: SaveContent::Bytes("output".into()),
            mime_type: None,
            create: false,
        };
        self.uploader.upload(upload).await
    }
}

#[tokio::test]
async fn h9_9_an_output_is_announced_with_the_token_and_the_tenant_of_its_job() {
    let mut hub = hub(&[(200, r#"{"dedup": true, "ref": "results/r1.msgpack"}"#), (200, r#"{"dedup": true}"#)]).await;
    let file = hub.upload("secret").await.expect("stored");
    assert_eq!(file.reference, "results/r1.msgpack");
    let asked = hub.asked.recv().await.expect("a request");
    assert!(asked.starts_with("POST /api/v1/media/acme/uploads HTTP/1.1\r\n"), "{asked}");
    assert!(asked.contains("authorization: Bearer secret\r\n") && asked.contains("x-cozy-owner: acme\r\n"), "{asked}");
    for field in [r#""ref":"results/r1.msgpack""#, r#""request_id":"r1""#, r#""size_bytes":6"#] {
        assert!(asked.contains(field), "{asked}");
    }
    hub.upload("").await.expect("stored");
    assert!(!hub.asked.recv().await.expect("a request").contains("authorization"));
}

#[tokio::test]
async fn h4_2_a_refusal_is_told_by_what_to_do_about_it_and_shows_no_token() {
    let cases = [
        (401, UploadFailure::Auth),
        (404, UploadFailure::Unsupported),
        (429, UploadFailure::Retryable),
        (503, UploadFailure::Retryable),
        (400, UploadFailure::Terminal),
    ];
    let answers: Vec<_> = cases.iter().map(|(status, _)| (*status, r#"{"error": "Bearer hush"}"#)).collect();
    let hub = hub(&answers).await;
    for (status, failure) in cases {
        let error = hub.upload("hush").await.expect_err("refused");
        assert_eq!(error.failure, failure, "{status}");
        assert!(!format!("{error:?}").contains("hush"), "{error:?}");
    }
    let unsendable = hub.upload("no token").await.expect_err("refused");
    assert_eq!(unsendable.failure, UploadFailure::Terminal);
}

#[tokio::test]
async fn h9_3_a_renewal_is_asked_for_with_the_workers_own_token() {
    let mut hub = hub(&[(200, r#"{"capability_token": "new", "expires_at_unix": 7}"#), (409, "{}")]).await;
    let renewal = Renewal {
        pair: Pair::parse("r1", 2).expect("a pair"),
        file_base_url: hub.base.clone(),
        worker_token: "worker".to_owned(),
        capability_token: "old".parse().expect("a token"),
    };
    let reply = hub.uploader.renew(renewal.clone()).await.expect("renewed");
    assert_eq!((reply.capability_token.reveal(), reply.expires_at_unix), ("new", 7));
    let asked = hub.asked.recv().await.expect("a request");
    assert!(asked.starts_with("POST /v1/worker/capability/renew HTTP/1.1\r\n"), "{asked}");
    assert!(asked.contains("authorization: Bearer worker\r\n"), "{asked}");
    assert!(asked.ends_with(r#"{"request_id":"r1","attempt":2,"capability_token":"old"}"#), "{asked}");
    assert_eq!(hub.uploader.renew(renewal).await.expect_err("refused").status, Some(409));
}
