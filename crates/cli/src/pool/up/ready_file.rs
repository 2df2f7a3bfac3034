//! The file that tells other programs that the pool is up, and where.

use std::{fs, io, net::SocketAddr, path::Path, process};

use serde::Serialize;

/// What the file says.
#[derive(Debug, Serialize)]
pub(super) struct Ready {
    /// Base URL of the HTTP API.
    pub(super) http: String,
    /// Address for workers, in a form that `worker --addr` takes.
    pub(super) wire: String,
    /// This process.
    pub(super) pid: u32,
    /// The workers that `up` started, in the order of the endpoints.
    pub(super) workers: Vec<ReadyWorker>,
}

/// One worker.
#[derive(Debug, Serialize)]
pub(super) struct ReadyWorker {
    /// Endpoint binary, as it was given.
    pub(super) endpoint: String,
    /// Its process.
    pub(super) pid: u32,
    /// Its identity in the pool.
    pub(super) worker_id: String,
}

impl Ready {
    /// A pool at these addresses.
    pub(super) fn new(http: SocketAddr, wire: SocketAddr, workers: Vec<ReadyWorker>) -> Self {
        Self { http: format!("http://{http}"), wire: format!("grpc://{wire}"), pid: process::id(), workers }
    }

    /// Writes the file in one step: a reader sees nothing or all of it.
    ///
    /// # Errors
    /// When the directory cannot be written.
    pub(super) fn write(&self, path: &Path) -> io::Result<()> {
        let mut name = path.file_name().unwrap_or_default().to_owned();
        name.push(format!(".{}", process::id()));
        let temporary = path.with_file_name(name);
        let text = serde_json::to_string(self).map_err(io::Error::other)?;
        fs::write(&temporary, text + "\n")?;
        fs::rename(&temporary, path)
    }
}

/// Removes the file of an earlier pool, or of this one at its end.
pub(super) fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn ready_file_has_exactly_the_agreed_shape() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("ready.json");
        fs::write(&path, "old").unwrap();
        let worker = ReadyWorker { endpoint: "target/debug/e".into(), pid: 7, worker_id: "e-0".into() };
        let address = |port: u16| SocketAddr::from(([127, 0, 0, 1], port));
        Ready::new(address(1), address(2), vec![worker]).write(&path).unwrap();
        let read: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        let expected = json!({
            "http": "http://127.0.0.1:1", "wire": "grpc://127.0.0.1:2", "pid": process::id(),
            "workers": [{"endpoint": "target/debug/e", "pid": 7, "worker_id": "e-0"}],
        });
        assert_eq!(read, expected);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1, "nothing temporary is left");
        remove(&path).unwrap();
        remove(&path).unwrap();
        assert!(!path.exists());
    }
}
