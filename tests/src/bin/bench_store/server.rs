//! A server of files that costs as little as possible: the kernel moves the bytes.

use std::{
    fs::File,
    io::{BufRead as _, BufReader, BufWriter, Read as _, Write as _},
    net::TcpStream,
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::{Context as _, Result};
use gen_worker_tasks::Scope;
use tokio::net::TcpListener;

/// The query that asks for a file in chunks of one byte.
pub const CRUMBS: &str = "crumbs";

/// Gives the files of one directory.
pub struct Server {
    base: String,
    _scope: Scope,
}

impl Server {
    pub async fn start(dir: PathBuf) -> Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let (base, scope, dir) = (format!("http://{}", listener.local_addr()?), Scope::new("server"), Arc::new(dir));
        let cancel = scope.cancel().clone();
        scope.spawn("accept", async move {
            let connections = Scope::under("connections", &cancel);
            while let Ok((socket, _)) = listener.accept().await {
                let Ok(socket) = socket.into_std() else { continue };
                let dir = Arc::clone(&dir);
                // A client that goes away ends its connection.
                connections.spawn_blocking(move || drop(serve(&socket, &dir)));
            }
        });
        Ok(Self { base, _scope: scope })
    }

    /// Where the file `name` is.
    pub fn url(&self, name: &str) -> String {
        format!("{}/{name}", self.base)
    }
}

fn serve(mut socket: &TcpStream, dir: &Path) -> Result<()> {
    socket.set_nonblocking(false)?;
    socket.set_nodelay(true)?;
    let mut requests = BufReader::new(socket);
    loop {
        let mut first = String::new();
        if requests.read_line(&mut first)? == 0 {
            return Ok(());
        }
        let mut line = String::new();
        while requests.read_line(&mut line)? > 2 {
            line.clear();
        }
        let target = first.split(' ').nth(1).context("no target")?.trim_start_matches('/');
        let (name, query) = target.split_once('?').unwrap_or((target, ""));
        let mut file = File::open(dir.join(name))?;
        if query == CRUMBS {
            crumbs(&file, socket)?;
        } else {
            write!(socket, "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", file.metadata()?.len())?;
            std::io::copy(&mut file, &mut socket)?;
        }
    }
}

fn crumbs(file: &File, socket: &TcpStream) -> Result<()> {
    let mut socket = BufWriter::with_capacity(1 << 20, socket);
    socket.write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")?;
    for byte in BufReader::new(file).bytes() {
        socket.write_all(&[b'1', b'\r', b'\n', byte?, b'\r', b'\n'])?;
    }
    socket.write_all(b"0\r\n\r\n")?;
    Ok(socket.flush()?)
}
