//! The file that tells other programs that the pool is up, and where.

use std::{net::SocketAddr, process};

use serde::Serialize;

/// What the file says.
#[derive(Debug, Serialize)]
pub(super) struct Ready {
    /// Base URL of the HTTP API.
    pub(super) http: String,
    /// Address for workers, in a form that `worker --addr` takes.
    pub(super) wire: String,
    /// Base URL of the hub.
    pub(super) hub: String,
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
    pub(super) fn new(http: SocketAddr, wire: SocketAddr, hub: String, workers: Vec<ReadyWorker>) -> Self {
        Self { http: format!("http://{http}"), wire: format!("grpc://{wire}"), hub, pid: process::id(), workers }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use serde_json::{Value, json};

    use super::*;
    use crate::ready_file;

    #[test]
    fn ready_file_has_exactly_the_agreed_shape() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("ready.json");
        fs::write(&path, "old").unwrap();
        let worker = ReadyWorker { endpoint: "target/debug/e".into(), pid: 7, worker_id: "e-0".into() };
        let address = |port: u16| SocketAddr::from(([127, 0, 0, 1], port));
        let ready = Ready::new(address(1), address(2), "http://h".into(), vec![worker]);
        ready_file::write(&path, &ready).unwrap();
        let read: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        let expected = json!({
            "http": "http://127.0.0.1:1", "wire": "grpc://127.0.0.1:2", "hub": "http://h", "pid": process::id(),
            "workers": [{"endpoint": "target/debug/e", "pid": 7, "worker_id": "e-0"}],
        });
        assert_eq!(read, expected);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1, "nothing temporary is left");
        ready_file::remove(&path).unwrap();
        ready_file::remove(&path).unwrap();
        assert!(!path.exists());
    }
}
