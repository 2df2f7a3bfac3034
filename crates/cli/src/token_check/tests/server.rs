//! A server on this machine that answers as it was told, and counts.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use gen_worker_tasks::Scope;
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    net::TcpListener,
};
use tokio_rustls::TlsAcceptor;

/// One answer.
#[derive(Clone)]
pub(super) enum Answer {
    Document(String),
    Status(u16),
    Redirect(String),
    /// A body without an announced end, until the client has enough.
    Endless,
    Silence,
}

/// Answers in turn; the last one is repeated.
pub(super) struct Server {
    pub(super) url: String,
    answered: Arc<AtomicUsize>,
    _scope: Scope,
}

impl Server {
    pub(super) async fn start(answers: Vec<Answer>) -> Self {
        Self::listen(answers, None).await
    }

    pub(super) async fn start_tls(answers: Vec<Answer>, acceptor: TlsAcceptor) -> Self {
        Self::listen(answers, Some(acceptor)).await
    }

    async fn listen(answers: Vec<Answer>, acceptor: Option<TlsAcceptor>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let scheme = if acceptor.is_some() { "https" } else { "http" };
        let url = format!("{scheme}://{}/keys?signature=secret", listener.local_addr().unwrap());
        let answered = Arc::new(AtomicUsize::new(0));
        let (count, scope) = (answered.clone(), Scope::new("keys"));
        let serve = async move {
            while let Ok((stream, _)) = listener.accept().await {
                let number = count.fetch_add(1, Ordering::SeqCst);
                let answer = answers.get(number).or(answers.last()).unwrap();
                match &acceptor {
                    None => reply(stream, answer).await,
                    Some(acceptor) => {
                        if let Ok(stream) = acceptor.accept(stream).await {
                            reply(stream, answer).await;
                        }
                    }
                }
            }
        };
        drop(scope.spawn_bare(serve));
        Self { url, answered, _scope: scope }
    }

    pub(super) fn answered(&self) -> usize {
        self.answered.load(Ordering::SeqCst)
    }
}

async fn reply(mut stream: impl AsyncRead + AsyncWrite + Unpin, answer: &Answer) {
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        if stream.read_buf(&mut request).await.unwrap_or(0) == 0 {
            return;
        }
    }
    assert!(request.starts_with(b"GET /"));
    let head = |status: u16, more: &str| format!("HTTP/1.1 {status} X\r\n{more}connection: close\r\n\r\n");
    let text = match answer {
        Answer::Document(body) => head(200, &format!("content-length: {}\r\n", body.len())) + body,
        Answer::Status(status) => head(*status, "content-length: 0\r\n"),
        Answer::Redirect(to) => head(302, &format!("location: {to}\r\ncontent-length: 0\r\n")),
        Answer::Endless => head(200, ""),
        Answer::Silence => std::future::pending().await,
    };
    let mut more = stream.write_all(text.as_bytes()).await;
    while matches!(answer, Answer::Endless) && more.is_ok() {
        more = stream.write_all(&[b' '; 64 * 1024]).await;
    }
    drop(stream.shutdown().await);
}
