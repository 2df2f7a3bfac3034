//! What the hub costs: an upload through it beside a plain PUT to a server that only stores, and its memory while many
//! send at once.
//!
//! ```text
//! bench_hub [<part of a part's name>]
//! bench_hub --sink <directory>
//! ```

mod memory;
mod sink;
mod upload;

use std::{
    fs::{File, OpenOptions},
    io::Write as _,
    os::unix::fs::FileExt as _,
    path::Path,
};

use anyhow::{Context, Result};

/// That of the real clients and of the hub, for both sides that are compared.
#[global_allocator]
static ALLOCATOR: gen_worker_allocator::Allocator = gen_worker_allocator::Allocator;

fn main() -> Result<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    if let [flag, directory] = words.as_slice()
        && flag == "--sink"
    {
        return runtime.block_on(sink::serve(Path::new(directory)));
    }
    // Plain clients have none of their own. Another one that is there serves as well.
    drop(tokio_rustls::rustls::crypto::ring::default_provider().install_default());
    let only = words.first().map_or("", String::as_str);
    runtime.block_on(async {
        if "upload".contains(only) {
            upload::bench().await.context("uploads")?;
        }
        if "memory".contains(only) {
            memory::bench().await.context("memory")?;
        }
        Ok(())
    })
}

/// Writes a file of bytes that do not compress and occur nowhere else.
fn make_file(path: &Path, bytes: u64) -> Result<()> {
    let mut file = File::create(path).with_context(|| format!("make {}", path.display()))?;
    let mut source = blake3::Hasher::new().update(path.as_os_str().as_encoded_bytes()).finalize_xof();
    let mut piece = vec![0; 1 << 20];
    let mut rest = usize::try_from(bytes)?;
    while rest > 0 {
        source.fill(&mut piece);
        let now = rest.min(piece.len());
        file.write_all(&piece[..now])?;
        rest -= now;
    }
    file.sync_all().context("sync a file")
}

/// Makes it another content of the same size.
fn change_file(path: &Path, to: u64) -> Result<()> {
    let file = OpenOptions::new().write(true).open(path)?;
    file.write_all_at(&to.to_le_bytes(), 0)?;
    file.sync_all().context("sync a file")
}
