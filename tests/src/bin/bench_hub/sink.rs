//! A server that stores what is PUT to it, and does nothing else: the floor.

use std::{
    convert::Infallible,
    fs::File,
    io::Write as _,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use bytes::Bytes;
use gen_worker_tasks::Scope;
use http_body_util::{BodyExt as _, Empty};
use hyper::{Request, Response, body::Incoming, server::conn::http1::Builder, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::{net::TcpListener, sync::mpsc};

/// Pieces that wait for the disk.
const PIECES_MAX: usize = 16;

/// Serves until it is killed; says where on standard output.
pub(crate) async fn serve(directory: &Path) -> Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    println!("listening on {}", listener.local_addr()?);
    let scope = Scope::new("sink");
    loop {
        let (stream, _) = listener.accept().await?;
        let directory = directory.to_owned();
        scope.spawn_bare(async move {
            let service = service_fn(|request| answer(request, directory.clone()));
            // Clients go away when they have what they want.
            drop(Builder::new().max_buf_size(128 * 1024).serve_connection(TokioIo::new(stream), service).await);
        });
    }
}

async fn answer(request: Request<Incoming>, directory: PathBuf) -> Result<Response<Empty<Bytes>>, Infallible> {
    let name = request.uri().path().trim_start_matches('/').to_owned();
    let mut response = Response::new(Empty::new());
    if let Err(error) = store(request.into_body(), directory.join(name)).await {
        eprintln!("sink: {error:#}");
        *response.status_mut() = hyper::StatusCode::INTERNAL_SERVER_ERROR;
    }
    Ok(response)
}

/// Stores `body`, as durable as the hub does it.
async fn store(mut body: Incoming, path: PathBuf) -> Result<()> {
    let (pieces, mut waiting) = mpsc::channel::<Bytes>(PIECES_MAX);
    let scope = Scope::new("sink file");
    let written = scope.spawn_blocking(move || -> Result<()> {
        let mut file = File::create(&path)?;
        while let Some(piece) = waiting.blocking_recv() {
            file.write_all(&piece)?;
        }
        file.sync_all().context("sync")
    });
    while let Some(frame) = body.frame().await {
        let Ok(piece) = frame?.into_data() else { continue };
        pieces.send(piece).await.context("the disk refuses")?;
    }
    drop(pieces);
    written.await?
}
