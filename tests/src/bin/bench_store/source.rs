//! What is pulled: files of random bytes, and snapshots of them.

use std::{
    fs::{self, File},
    io::{BufWriter, Write as _},
    path::{Path, PathBuf},
};

use anyhow::Result;
use gen_worker_hub::Blake3Hash;
use serde_json::{Value, json};

use crate::server::Server;

/// Files in one directory.
pub struct Source {
    pub dir: PathBuf,
    pub files: Vec<SourceFile>,
}

/// One of them.
pub struct SourceFile {
    pub name: String,
    size_bytes: u64,
    pub blake3: Blake3Hash,
}

impl Source {
    /// Makes `count` files of `bytes` each, with other bytes in each.
    pub fn make(dir: &Path, count: usize, bytes: u64) -> Result<Self> {
        let mut files = Vec::new();
        for at in 0..count {
            let name = format!("{bytes}-{at}");
            let mut file = BufWriter::with_capacity(1 << 20, File::create(dir.join(&name))?);
            let mut hasher = blake3::Hasher::new();
            let (mut state, mut written) = (at as u64 + 1, 0);
            while written < bytes {
                let mut block = Vec::with_capacity(1 << 16);
                while block.len() < 1 << 16 {
                    state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                    block.extend_from_slice(&(state ^ (state >> 31)).to_le_bytes());
                }
                block.truncate(usize::try_from(bytes - written)?.min(block.len()));
                written += block.len() as u64;
                hasher.update(&block);
                file.write_all(&block)?;
            }
            file.flush()?;
            files.push(SourceFile {
                name,
                size_bytes: bytes,
                blake3: Blake3Hash::from_bytes(*hasher.finalize().as_bytes()),
            });
        }
        Ok(Self { dir: dir.to_owned(), files })
    }

    /// Writes the snapshot `id` of them, sent as `query` asks for, to a file.
    pub fn order(&self, server: &Server, id: &str, query: &str) -> Result<PathBuf> {
        let entry = |file: &SourceFile| -> Value {
            let url = server.url(&file.name, query);
            json!({"path": file.name, "size_bytes": file.size_bytes, "blake3": file.blake3, "url": url})
        };
        let files: Vec<_> = self.files.iter().map(entry).collect();
        let path = self.dir.join(format!("{id}.json"));
        fs::write(&path, json!({"snapshot_digest": id, "files": files}).to_string())?;
        Ok(path)
    }

    /// Their bytes.
    pub fn bytes(&self) -> f64 {
        self.files.iter().map(|file| file.size_bytes as f64).sum()
    }
}
